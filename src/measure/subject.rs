//! Kernels that multiply matrices, with their own memory, to be timed.

use super::step::noise;
use crate::Error;
use crate::engine::layout::{Attention, Linear};
use crate::engine::{Dispatch, Engine, Prepared, Program, Range, counted};
use crate::nn::ops::{
    self, After, Sight, attention_backward_key_value, attention_backward_query, linear, linear_backward_input,
    linear_backward_weight,
};
use crate::params::Storage;

/// Heads and tokens of an attention that is timed.
const HEADS: u32 = 8;
const TOKENS: u32 = 1024;

/// A kernel with its own memory.
pub(super) struct Subject {
    pub(super) kernel: &'static str,
    /// What choices tell it by.
    pub(super) sizes: [u32; 2],
    /// Its output.
    pub(super) result: Range,
    make: Box<Make>,
}

/// Makes the dispatch as an engine's choices have it.
type Make = dyn Fn(&Engine) -> Result<Dispatch, Error>;

impl Subject {
    /// So many times over, as the engine's choices have it.
    pub(super) fn prepare(&self, engine: &Engine, times: usize) -> Result<Prepared, Error> {
        let dispatches = vec![(self.make)(engine)?; times];
        Ok(engine.prepare(Program { label: self.kernel.to_owned(), dispatches })?)
    }
}

/// Numbers of activations and gradients: noise, and zero after the last column.
fn activations(engine: &Engine, rows: usize, width: usize) -> Result<Range, Error> {
    let stride = width.next_multiple_of(4);
    let mut values = noise(rows * stride, 0.5, 7);
    values.iter_mut().enumerate().filter(|(at, _)| at % stride >= width).for_each(|(_, value)| *value = 0.0);
    Ok(engine.buffer_with("activations", &values)?.all())
}

fn room(engine: &Engine, numbers: usize) -> Result<Range, Error> {
    Ok(engine.buffer("result", 4 * numbers as u64)?.all())
}

/// The passes over a linear layer of these rows, inputs and outputs: forward, to its input, to its weight.
pub(super) fn layer(engine: &Engine, [rows, inputs, outputs]: [usize; 3]) -> Result<[Subject; 3], Error> {
    let shape = Linear::new(rows, inputs, outputs);
    let sizes = [shape.inputs, shape.outputs];
    let (x, z) = (activations(engine, rows, inputs)?, activations(engine, rows, outputs)?);
    let weight = engine.buffer_with("weight", &noise(inputs * outputs, 0.5, 9))?.all();
    let weight = (weight, Storage::F32);
    let back = weight.clone();
    let results = [shape.output(rows, 0), shape.input(rows, 0), inputs * outputs];
    let [y, dx, dweight] = results.map(|numbers| room(engine, numbers));
    let (y, dx, dweight) = (y?, dx?, dweight?);
    let forward = [x.clone(), y.clone()];
    let to_input = [z.clone(), dx.clone()];
    let (to_weight, target) = ([z, x], [Some(dweight.clone()), None]);
    Ok([
        Subject {
            kernel: "linear",
            sizes,
            result: y,
            make: Box::new(move |engine| {
                Ok(linear(engine, &shape, weight.clone(), forward.clone(), None, After::Nothing)?)
            }),
        },
        Subject {
            kernel: "linear_backward_input",
            sizes,
            result: dx,
            make: Box::new(move |engine| {
                Ok(linear_backward_input(engine, &shape, back.clone(), to_input.clone(), None, false)?)
            }),
        },
        Subject {
            kernel: "linear_backward_weight",
            sizes,
            result: dweight,
            make: Box::new(move |engine| {
                Ok(linear_backward_weight(engine, &shape, to_weight.clone(), target.clone(), false)?)
            }),
        },
    ])
}

/// The passes of causal attention over so many tokens of an example and numbers of a head: forward, to the queries, to keys
/// and values.
pub(super) fn attention(engine: &Engine, [context, head]: [usize; 2]) -> Result<[Subject; 3], Error> {
    let (context, head_quads) = (counted(context), counted(head.div_ceil(4)));
    let shape = Attention::fused(TOKENS.div_ceil(context), context, HEADS, head_quads);
    let sizes = [context, 4 * head_quads];
    let (rows, width) = ((shape.batch * context) as usize, shape.width() * HEADS as usize);
    let qkv = activations(engine, rows, 3 * width)?;
    let mask = engine.buffer_with("mask", &vec![1u32; rows])?.all();
    let dout = activations(engine, rows, width)?;
    let numbers = ops::numbers(&shape) as usize;
    let (lse, delta) = (activations(engine, numbers, 4)?, activations(engine, numbers, 4)?);
    let (out, dqkv) = (room(engine, rows * width)?, room(engine, 3 * rows * width)?);
    let forward = [qkv.clone(), mask.clone(), out.clone(), room(engine, numbers)?];
    let given = activations(engine, rows, width)?;
    let to_query = [&qkv, &mask, &given, &dout, &lse, &room(engine, numbers)?, &dqkv].map(Range::clone);
    let past = [qkv, mask, dout, lse, delta, dqkv.clone()];
    let sight = Sight::Causal;
    Ok([
        Subject {
            kernel: "attention",
            sizes,
            result: out,
            make: Box::new(move |engine| Ok(ops::attention(engine, &shape, sight, forward.clone(), None)?)),
        },
        Subject {
            kernel: "attention_backward_query",
            sizes,
            result: dqkv.clone(),
            make: Box::new(move |engine| Ok(attention_backward_query(engine, &shape, sight, to_query.clone(), None)?)),
        },
        Subject {
            kernel: "attention_backward_key_value",
            sizes,
            result: dqkv,
            make: Box::new(move |engine| Ok(attention_backward_key_value(engine, &shape, sight, past.clone(), None)?)),
        },
    ])
}

//! Multi-head attention: one dispatch forward, two backward, from the sizes and the memory they work on.
//!
//! Memory is given in the order in which the shader's head lists it. Queries, keys and values are in one buffer, side
//! by side ([`Attention::fused`]) or one after the other ([`Attention::planes`]); their gradients are likewise in
//! another.

use super::{Constants, Operate, Uses, quads, switch};
use crate::engine::kernels::{ATTENTION, ATTENTION_BACKWARD_KEY_VALUE, ATTENTION_BACKWARD_QUERY, Family, Flag};
use crate::engine::{Dispatch, Engine, Range, Tiling, count, counted, layout, row_of};
use crate::nn::Error;
use crate::nn::graph::{Backward, Form, Graph, Placing, Sample, Value};
use crate::setters::setters;

/// The heads of an attention.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Heads {
    /// How many; they divide the width.
    pub count: usize,
    /// Which keys a query sees.
    pub sight: Sight,
    /// Share of the weights that dropout zeroes in training.
    pub dropout: f32,
    /// Tells the dropout of this attention from that of every other of the model.
    pub stream: u32,
}

impl Heads {
    /// So many heads, without dropout.
    pub const fn new(count: usize, sight: Sight) -> Heads {
        Heads { count, sight, dropout: 0.0, stream: 0 }
    }

    setters! {
        sight: Sight,
        dropout: f32,
        stream: u32,
    }
}

/// out = softmax(scale q kᵀ) v of each head.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Attention {
    heads: Heads,
    qkv: Value,
    mask: Value,
    out: Value,
    lse: Value,
    /// If weights are dropped: the batch's place.
    position: Option<Value>,
}

/// The gradient of the queries, and delta for that of keys and values.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct AttentionBackwardQuery {
    forward: Attention,
    dout: Value,
    delta: Value,
    dqkv: Value,
}

/// The gradient of keys and values.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct AttentionBackwardKeyValue {
    forward: Attention,
    dout: Value,
    delta: Value,
    dqkv: Value,
}

impl Graph {
    /// Attention over queries, keys and values, side by side in the rows of qkv, or in its three planes.
    pub fn attention(&mut self, module: &str, qkv: Value, mask: Value, heads: Heads) -> Value {
        let form = match self.form(qkv) {
            planes @ Form::Planes { .. } => planes.plane(),
            rows => Form::Rows { per_example: rows.rows(), width: rows.width() / 3 },
        };
        let dropout = if heads.dropout > 0.0 && self.is_still(qkv) { 0.0 } else { heads.dropout };
        let heads = Heads { dropout, ..heads };
        let position = (self.trains && heads.dropout > 0.0).then(|| self.position());
        let out = self.nodes.shared(format!("{module}.out"), form);
        let lse = self.nodes.shared(format!("{module}.lse"), Form::words(form.rows() * heads.count));
        self.push(Attention { heads, qkv, mask, out, lse, position });
        out
    }
}

/// Streams of attentions come after those of other dropouts, which are few.
const ATTENTIONS: u32 = 1 << 16;

impl Attention {
    fn shape<E: From<Error>>(&self, at: &Placing<'_, E>) -> layout::Attention {
        let Heads { count, dropout, stream, .. } = self.heads;
        let (batch, context, heads) =
            (counted(at.examples()), counted(at.rows(self.out) / at.examples()), counted(count));
        let head_quads = counted(quads(at.width(self.out) / count));
        let shape = match at.form(self.qkv) {
            Form::Planes { .. } => {
                // Planes start at offsets that can be bound.
                let part = at.plane_quads(self.qkv);
                let planes = layout::Attention::planes(batch, context, heads, head_quads);
                layout::Attention { key: part, value: 2 * part, ..planes }
            }
            _ => layout::Attention::fused(batch, context, heads, head_quads),
        };
        layout::Attention { rate: dropout, seed: at.loss.seed, stream: ATTENTIONS + stream, ..shape }
    }

    fn position<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Range>, E> {
        self.position.map(|position| at.range(position)).transpose()
    }
}

impl Operate for Attention {
    fn uses(&self) -> Uses {
        let reads = [Some(self.qkv), Some(self.mask), self.position];
        Uses::new(reads, [self.out, self.lse])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        let Attention { qkv, mask, out, lse, position, .. } = self;
        [qkv, mask, out, lse].into_iter().chain(position).for_each(see);
    }

    fn drops(&self) -> bool {
        self.position.is_some()
    }

    fn backward(&self, back: &mut Backward<'_>) {
        let Some(dout) = back.of(self.out).filter(|_| back.needs(self.qkv)) else { return };
        let delta = back.nodes.shared("d.attention.delta", back.form(self.lse));
        let dqkv = back.gradient_for(self.qkv);
        back.push(AttentionBackwardQuery { forward: self.clone(), dout, delta, dqkv });
        back.push(AttentionBackwardKeyValue { forward: self.clone(), dout, delta, dqkv });
        back.pass(self.qkv, dqkv);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let memory = at.ranges([self.qkv, self.mask, self.out, self.lse])?;
        Ok(Some(attention(at.engine(), &self.shape(at), self.heads.sight, memory, self.position(at)?)?))
    }
}

impl Operate for AttentionBackwardQuery {
    fn uses(&self) -> Uses {
        let Attention { qkv, mask, out, lse, .. } = self.forward;
        Uses::new([qkv, mask, out, self.dout, lse], [self.delta, self.dqkv])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        self.forward.each_value(see);
        [&mut self.dout, &mut self.delta, &mut self.dqkv].into_iter().for_each(see);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let AttentionBackwardQuery { forward, dout, delta, dqkv } = self;
        let memory = at.ranges([forward.qkv, forward.mask, forward.out, *dout, forward.lse, *delta, *dqkv])?;
        let (shape, sight, position) = (forward.shape(at), forward.heads.sight, forward.position(at)?);
        Ok(Some(attention_backward_query(at.engine(), &shape, sight, memory, position)?))
    }
}

impl Operate for AttentionBackwardKeyValue {
    fn uses(&self) -> Uses {
        let Attention { qkv, mask, lse, .. } = self.forward;
        Uses::new([qkv, mask, self.dout, lse, self.delta], [self.dqkv])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        self.forward.each_value(see);
        [&mut self.dout, &mut self.delta, &mut self.dqkv].into_iter().for_each(see);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let AttentionBackwardKeyValue { forward, dout, delta, dqkv } = self;
        let memory = at.ranges([forward.qkv, forward.mask, *dout, forward.lse, *delta, *dqkv])?;
        let (shape, sight, position) = (forward.shape(at), forward.heads.sight, forward.position(at)?);
        Ok(Some(attention_backward_key_value(at.engine(), &shape, sight, memory, position)?))
    }
}

/// Heads of one and of several vec4s, side by side and in planes, with biases and without, with padding; more keys than 1,024 and 2,048; heads of a
/// slice to more than are made at once.
pub(super) fn samples() -> Vec<Sample> {
    let attentions = |[examples, context]: [usize; 2], [count, head]: [usize; 2], sight, dropout, has_planes: bool| {
        let network = |graph: &mut Graph| {
            let (x, mask) = (graph.rows("rows", context, 6), graph.words("mask", context));
            let heads = Heads { count, sight, dropout, stream: 3 };
            let width = count * head;
            let qkv = graph.linear("qkv", x, 3 * width);
            let first = graph.attention("first", qkv, mask, heads);
            if !has_planes {
                return graph.classified(first, 5);
            }
            let (modules, biased) = (["query", "key", "value"].map(str::to_owned), dropout > 0.0);
            let planes = graph.linear_planes("planes", &modules, first, width, biased);
            let second = graph.attention("second", planes, mask, heads);
            graph.classified(second, 5)
        };
        let name = format!("attention, {examples} of {context} tokens, {count} heads of {head}, {sight:?}");
        Sample::of(name, [examples, context], network)
    };
    vec![
        attentions([3, 13], [2, 4], Sight::Both, 0.1, true),
        attentions([2, 70], [3, 20], Sight::Causal, 0.0, true),
        attentions([1, 1030], [1, 4], Sight::Causal, 0.1, true),
        attentions([1, 2051], [1, 8], Sight::Both, 0.0, true),
        attentions([1, 1025], [1, 16], Sight::Both, 0.0, false),
        attentions([2, 66], [2, 32], Sight::Both, 0.1, true),
        attentions([2, 33], [1, 64], Sight::Causal, 0.0, false),
        attentions([1, 45], [2, 80], Sight::Both, 0.0, false),
        attentions([2, 31], [1, 128], Sight::Causal, 0.1, false),
        attentions([1, 9], [1, 132], Sight::Both, 0.0, false),
    ]
}

/// Which keys a query sees of those that the mask lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sight {
    /// All.
    Both,
    /// None later than itself.
    Causal,
}

/// out = softmax(scale q kᵀ) v, and the log-sum-exp of each query's scores. Memory: qkv, mask, out, lse. With a
/// `position`, weights are dropped at the rate in `shape`.
///
/// # Errors
/// Out of device memory.
pub fn attention(
    engine: &Engine,
    shape: &layout::Attention,
    sight: Sight,
    memory: [Range; 4],
    position: Option<Range>,
) -> Result<Dispatch, Error> {
    dispatch(engine, &ATTENTION, shape, sight, memory.into(), position)
}

/// The queries' part of dqkv, and delta = dout · out for each query. Memory: qkv, mask, out, dout, lse, delta, dqkv.
///
/// # Errors
/// Out of device memory.
pub fn attention_backward_query(
    engine: &Engine,
    shape: &layout::Attention,
    sight: Sight,
    memory: [Range; 7],
    position: Option<Range>,
) -> Result<Dispatch, Error> {
    dispatch(engine, &ATTENTION_BACKWARD_QUERY, shape, sight, memory.into(), position)
}

/// The keys' and the values' parts of dqkv, after [`attention_backward_query`], which makes delta. Memory: qkv, mask,
/// dout, lse, delta, dqkv.
///
/// # Errors
/// Out of device memory.
pub fn attention_backward_key_value(
    engine: &Engine,
    shape: &layout::Attention,
    sight: Sight,
    memory: [Range; 6],
    position: Option<Range>,
) -> Result<Dispatch, Error> {
    dispatch(engine, &ATTENTION_BACKWARD_KEY_VALUE, shape, sight, memory.into(), position)
}

/// Numbers of lse and of delta.
pub fn numbers(shape: &layout::Attention) -> u64 {
    u64::from(shape.batch) * u64::from(shape.heads) * u64::from(shape.context)
}

/// The kernel over its memory, the shape, and the position where weights are dropped. Bytes count each row once.
fn dispatch(
    engine: &Engine,
    family: &'static Family,
    shape: &layout::Attention,
    sight: Sight,
    memory: Vec<Range>,
    position: Option<Range>,
) -> Result<Dispatch, Error> {
    let row = 16 * u64::from(shape.head_quads);
    let rows = if *family == ATTENTION { 4 } else { 6 };
    // Of each pair of query and key: the score and what it weighs; backward the score once more, its gradient, and those of
    // the query, or of key and value.
    let products = if *family == ATTENTION {
        2
    } else if *family == ATTENTION_BACKWARD_QUERY {
        3
    } else {
        4
    };
    // Half of them are seen if none is later than its query.
    let keys = if sight == Sight::Causal { u64::from(shape.context).div_ceil(2) } else { u64::from(shape.context) };
    // Any tiling but registers is the same tiling.
    let tiled = engine.tiling(family.name, shape.context, 4 * shape.head_quads) != Tiling::Registers;
    let (mut constants, groups) = if tiled { by_blocks(family, shape) } else { by_runs(engine, family, shape) };
    let flags = Flag::Tiled.when(tiled) | Flag::Dropout.when(position.is_some());
    let sizes = engine.buffer_with("attention shape", &[*shape])?.all();
    constants.push(switch("CAUSAL", sight == Sight::Causal));
    Ok(Dispatch {
        kernel: family.variant(flags)?,
        bindings: memory.into_iter().chain([sizes]).chain(position).map(Into::into).collect(),
        constants,
        grid: row_of(count("workgroups", groups)?),
        bytes: rows * row * numbers(shape),
        flops: products * numbers(shape) * keys * 8 * u64::from(shape.head_quads),
    })
}

/// Tokens of a run, which one invocation takes: 8 queries, or 8 keys, of one head.
///
/// Loads are expensive on a software adapter, so an invocation computes 8 by 8 scores and keeps no row of a head in
/// registers: rows of 4 queries and their sums there, the loops over a head unrolled, took 3.3 ms where this took 2.8, and
/// 2.2 s to compile (16 s for arrays of 32 vec4s) where this took 0.5 (llvmpipe, 2 cores).
const RUN: u32 = 8;

/// Tokens of a block, which a workgroup of so many invocations takes: a GPU has few runs for its width (not measured there).
const BLOCK: u32 = 32;
const BLOCK_INVOCATIONS: u32 = 64;

/// Vec4s of a head in a slice, and slices whose sums an invocation has registers for.
const SLICE: u32 = 8;
const SLICES: u32 = 4;

/// Of workgroup memory: what every device has, and most that we take where there is more.
const ON_CHIP: [u32; 2] = [16 << 10, 32 << 10];

/// Tensors that a pass makes sums of at once: keys and values, else one.
fn sums_of(family: &Family) -> u32 {
    if *family == ATTENTION_BACKWARD_KEY_VALUE { 2 } else { 1 }
}

/// Constants and workgroups of the form by blocks.
fn by_blocks(family: &Family, shape: &layout::Attention) -> (Constants, u64) {
    let slices = shape.head_quads.div_ceil(SLICE).min(SLICES / sums_of(family));
    (vec![workgroup(BLOCK_INVOCATIONS), ("SLICES", f64::from(slices))], runs(shape, BLOCK))
}

/// The same of that by runs: as many vec4s of a head at once as workgroup memory holds the sums of, for any size of a head,
/// so that all have one pipeline.
fn by_runs(engine: &Engine, family: &Family, shape: &layout::Attention) -> (Constants, u64) {
    let [least, most] = ON_CHIP;
    let bytes = engine.adapter().map_or(least, |adapter| adapter.workgroup_bytes.clamp(least, most));
    let invocations = engine.sizes().runs;
    // Of a vec4 of a head.
    let quads = RUN * invocations * sums_of(family);
    let part = bytes / (16 * quads);
    let sizes = [workgroup(invocations), ("PART", f64::from(part)), ("HELD", f64::from(part * quads))];
    (sizes.into(), runs(shape, RUN).div_ceil(u64::from(invocations)))
}

fn workgroup(invocations: u32) -> (&'static str, f64) {
    ("WORKGROUP", f64::from(invocations))
}

fn runs(shape: &layout::Attention, tokens: u32) -> u64 {
    u64::from(shape.batch) * u64::from(shape.heads) * u64::from(shape.context.div_ceil(tokens))
}

//! How many products of matrices the kernels of linear layers make in a second.

use super::step::{median, rounds};
use crate::Error;
use crate::engine::layout::Linear;
use crate::engine::{Dispatch, Engine, Prepared, Program, Range, Submission};
use crate::nn::ops::{After, linear, linear_backward_input, linear_backward_weight, quads};

/// Rows, inputs and outputs: a cube, and the layers of the presets `tiny` and `small` on 16 sequences of 64 tokens.
const SHAPES: [(&str, [usize; 3]); 6] = [
    ("512 x 512 x 512", [512, 512, 512]),
    ("tiny, attention", [1024, 96, 288]),
    ("tiny, feed-forward", [1024, 96, 384]),
    ("tiny, output", [1024, 96, 96]),
    ("small, feed-forward", [1024, 384, 1536]),
    ("small, attention", [1024, 384, 1152]),
];

/// So often a GPU does the same in one submission: what it takes is too short beside the submission. Software takes its time.
const GPU_TIMES: usize = 64;

/// A shape, and what each pass over a layer of it reaches.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Product {
    /// Which layer.
    pub name: &'static str,
    /// Rows, inputs and outputs.
    pub shape: [usize; 3],
    /// Seconds of forward, backward to the input and backward to the weight, medians.
    pub seconds: [f64; 3],
}

impl Product {
    /// Operations (two a product) in a second, of each pass.
    pub fn operations_per_second(&self) -> [f64; 3] {
        let operations = 2.0 * self.shape.iter().map(|side| *side as f64).product::<f64>();
        self.seconds.map(|seconds| operations / seconds)
    }
}

pub(super) fn measure(engine: &Engine) -> Result<Vec<Product>, Error> {
    SHAPES.into_iter().map(|(name, shape)| product(engine, name, shape)).collect()
}

fn product(engine: &Engine, name: &'static str, shape: [usize; 3]) -> Result<Product, Error> {
    let [rows, inputs, outputs] = shape;
    let sizes = Linear {
        rows: rows as u32,
        inputs: inputs as u32,
        outputs: outputs as u32,
        input_quads: quads(inputs) as u32,
        output_quads: quads(outputs) as u32,
        ..Linear::default()
    };
    let room = |label: &str, numbers: usize| -> Result<Range, Error> {
        Ok(engine.buffer_with(label, &super::step::noise(numbers, 0.5, 7))?.all())
    };
    let (x, z) = (room("x", rows * quads(inputs) * 4)?, room("z", rows * quads(outputs) * 4)?);
    let (weight, dx) = (room("weight", inputs * outputs)?, room("dx", rows * quads(inputs) * 4)?);
    let passes = [
        linear(
            engine,
            &sizes,
            [x.clone(), weight.clone(), room("y", rows * quads(outputs) * 4)?],
            None,
            After::Nothing,
        )?,
        linear_backward_input(engine, &sizes, [z.clone(), weight, dx], None, false)?,
        linear_backward_weight(engine, &sizes, [z, x], [Some(room("dweight", inputs * outputs)?), None], false)?,
    ];
    let times = if engine.is_software() { 1 } else { GPU_TIMES };
    let prepare = |dispatch: Dispatch| {
        let program = Program { label: dispatch.kernel.name.to_owned(), dispatches: vec![dispatch; times] };
        engine.prepare(program).map_err(Error::from)
    };
    let passes: Vec<Prepared> = passes.into_iter().map(prepare).collect::<Result<_, Error>>()?;
    let run = |pass: &Prepared| -> Result<(), Error> {
        engine.submit(&Submission { programs: &[pass], ..Submission::default() })?;
        Ok(engine.wait()?)
    };
    let [mut first, mut second, mut third] = [0, 1, 2].map(|place| {
        let (run, pass) = (&run, &passes[place]);
        move || run(pass)
    });
    let seconds = rounds(&mut [&mut first, &mut second, &mut third])?;
    let mut seconds = seconds.into_iter().map(|seconds| median(seconds) / times as f64);
    let seconds = [(); 3].map(|()| seconds.next().unwrap_or(f64::NAN));
    Ok(Product { name, shape, seconds })
}

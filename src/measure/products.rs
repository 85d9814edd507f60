//! How many products of matrices the kernels of linear layers make in a second.

use super::step::{median, rounds};
use super::subject;
use crate::Error;
use crate::engine::{Engine, Prepared, Submission};

/// Rows, inputs and outputs: cubes, and the layers of the presets `tiny` and `small` on 16 sequences of 64 tokens.
const SHAPES: [(&str, [usize; 3]); 7] = [
    (LARGE, [4096, 4096, 4096]),
    ("512 x 512 x 512", [512, 512, 512]),
    ("tiny, attention", [1024, 96, 288]),
    ("tiny, feed-forward", [1024, 96, 384]),
    ("tiny, output", [1024, 96, 96]),
    ("small, feed-forward", [1024, 384, 1536]),
    ("small, attention", [1024, 384, 1152]),
];

/// Left out on software, where it takes a minute.
const LARGE: &str = "4096 x 4096 x 4096";

/// So often at most a GPU does the same in one submission, what is short: it takes too little beside the submission.
const GPU_TIMES: usize = 64;

/// Products of such a submission. Software takes its time over a single one.
const GPU_PRODUCTS: usize = 1 << 33;

/// A shape, and what each pass over a layer of it reaches.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Product {
    /// Which layer.
    pub name: &'static str,
    /// Rows, inputs and outputs.
    pub shape: [usize; 3],
    /// Tilings of forward, backward to the input and backward to the weight.
    pub tilings: [&'static str; 3],
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
    let shapes = SHAPES.into_iter().filter(|(name, _)| *name != LARGE || !engine.is_software());
    shapes.map(|(name, shape)| product(engine, name, shape)).collect()
}

fn product(engine: &Engine, name: &'static str, shape: [usize; 3]) -> Result<Product, Error> {
    let times = GPU_PRODUCTS / shape.iter().product::<usize>().max(1);
    let times = if engine.is_software() { 1 } else { times.clamp(1, GPU_TIMES) };
    let passes = subject::layer(engine, shape)?;
    let tilings = passes.each_ref().map(|pass| engine.tiling(pass.kernel, pass.sizes[0], pass.sizes[1]).name());
    let [forward, input, weight] = passes.map(|pass| pass.prepare(engine, times));
    let (forward, input, weight) = (forward?, input?, weight?);
    let run = |pass: &Prepared| -> Result<(), Error> {
        engine.submit(&Submission { programs: &[pass], ..Submission::default() })?;
        Ok(engine.wait()?)
    };
    let seconds = rounds(&mut [&mut || run(&forward), &mut || run(&input), &mut || run(&weight)])?;
    let mut seconds = seconds.into_iter().map(|seconds| median(seconds) / times as f64);
    let seconds = [(); 3].map(|()| seconds.next().unwrap_or(f64::NAN));
    Ok(Product { name, shape, tilings, seconds })
}

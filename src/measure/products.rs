//! How many products of matrices the kernels of linear layers make in a second.

use super::Extent;
use super::step::rounds;
use super::stopwatch::Stopwatch;
use super::subject;
use crate::Error;
use crate::engine::{Engine, Prepared, Submission};

/// Rows, inputs and outputs: cubes, and the layers of the presets `tiny` and `small` on 16 sequences of 64 tokens.
const SHAPES: [(&str, [usize; 3]); 7] = [
    ("4096 x 4096 x 4096", [4096, 4096, 4096]),
    ("512 x 512 x 512", [512, 512, 512]),
    ("tiny, attention", [1024, 96, 288]),
    ("tiny, feed-forward", [1024, 96, 384]),
    ("tiny, output", [1024, 96, 96]),
    ("small, feed-forward", [1024, 384, 1536]),
    ("small, attention", [1024, 384, 1152]),
];

/// Multiplications of a submission; a GPU repeats smaller work.
const MULTIPLICATIONS: usize = 1 << 33;

/// A shape, and what each pass over a layer of it reaches.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Product {
    /// Which layer.
    pub name: &'static str,
    /// Rows, inputs and outputs.
    pub shape: [usize; 3],
    /// Tilings of forward, backward to the input and backward to the weight.
    pub tilings: [&'static str; 3],
    /// Seconds of the device if it has timestamps, else of the wall: of forward, backward to the input and backward to the weight, medians.
    pub seconds: [f64; 3],
}

impl Product {
    /// Operations (two a product) in a second, of each pass.
    pub fn operations_per_second(&self) -> [f64; 3] {
        let operations = 2.0 * self.shape.iter().map(|side| *side as f64).product::<f64>();
        self.seconds.map(|seconds| operations / seconds)
    }
}

pub(super) fn measure(engine: &Engine, extent: &Extent) -> Result<Vec<Product>, Error> {
    let fits = |(_, shape): &(_, [usize; 3])| shape.iter().product::<usize>() <= extent.most_multiplications;
    let shapes = SHAPES.into_iter().filter(fits);
    shapes.map(|(name, shape)| product(engine, (name, shape), extent.most_repeats)).collect()
}

fn product(engine: &Engine, (name, shape): (&'static str, [usize; 3]), most_repeats: usize) -> Result<Product, Error> {
    let times = (MULTIPLICATIONS / shape.iter().product::<usize>().max(1)).clamp(1, most_repeats);
    let passes = subject::layer(engine, shape)?;
    let tilings = passes.each_ref().map(|pass| engine.tiling(pass.kernel, pass.sizes[0], pass.sizes[1]).name());
    let [forward, input, weight] = passes.map(|pass| pass.prepare(engine, times));
    let (forward, input, weight) = (forward?, input?, weight?);
    let stopwatch = Stopwatch::new(engine)?;
    let run = |pass: &Prepared| stopwatch.time(Submission { programs: &[pass], ..Submission::default() });
    let seconds = rounds([&mut || run(&forward), &mut || run(&input), &mut || run(&weight)])?;
    Ok(Product { name, shape, tilings, seconds: seconds.map(|seconds| seconds / times as f64) })
}

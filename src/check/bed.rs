//! A sample's pass on an engine, over numbers from a seed.

use crate::Error;
use crate::engine::layout::{Position, pcg, uniform};
use crate::engine::{Buffer, Dispatch, Engine, Program, Range};
use crate::nn::graph::{Input, Sample};
use crate::nn::ops::write_squares;
use crate::nn::{self, Batch, LossOptions, Parameter, Workspace, reads_bf16};
use crate::params::{Param, Storage};
use half::bf16;
use std::collections::BTreeMap;

use super::trial::JUNK;

/// A label in thirteen does not count, a part of the target is spread, and dropout has a seed.
const LOSS: LossOptions = LossOptions { ignore: 0, smoothing: 0.1, seed: 7 };

/// A sample on an engine.
pub struct Bed {
    engine: Engine,
    values: BTreeMap<String, (Buffer, Storage)>,
    gradients: BTreeMap<String, Buffer>,
    space: Workspace,
    batch: Batch,
}

/// Numbers in [-1, 1), from a seed; the same everywhere.
pub fn noise(seed: u32, count: usize) -> Vec<f32> {
    let key = pcg(seed);
    (0..count as u32).map(|place| 2.0 * uniform(place, key) - 1.0).collect()
}

impl Bed {
    /// Puts it there. Memory that nobody has written holds junk.
    ///
    /// # Errors
    /// From the device.
    pub fn new(engine: &Engine, sample: &Sample) -> Result<Bed, Error> {
        let params = sample.params();
        let space = sample.pass().allocate(engine)?;
        let (mut values, mut gradients) = (BTreeMap::new(), BTreeMap::new());
        for (seed, param) in (1..).zip(&params) {
            let is_gain = param.shape.len() == 1 && param.name.ends_with("weight");
            let (around, spread) = if is_gain { (1.0, 0.5) } else { (0.0, spread(param)) };
            let numbers: Vec<f32> = noise(seed, param.elements()).iter().map(|x| around + spread * x).collect();
            let is_bf16 = sample.is_bf16 && reads_bf16(param);
            let stored = if is_bf16 { Storage::Bf16 } else { Storage::F32 };
            values.insert(param.name.clone(), (engine.buffer_with(&param.name, &words(&numbers, stored))?, stored));
            let junk = vec![JUNK; param.elements()];
            gradients.insert(param.name.clone(), engine.buffer_with(&param.name, &junk)?);
        }
        let batch = batch(engine, sample)?;
        Ok(Bed { engine: engine.clone(), values, gradients, space, batch })
    }

    /// The pass that writes gradients and squares of them, and one that adds another micro-batch's.
    ///
    /// # Errors
    /// From the device.
    pub fn programs(&self) -> Result<[Program; 2], Error> {
        let mut first = self.dispatches(false)?;
        let gradients: Vec<(String, Range)> =
            self.gradients.iter().map(|(name, buffer)| (name.clone(), buffer.all())).collect();
        write_squares(&self.engine, &mut first, &gradients)?;
        let program = |dispatches: Vec<Dispatch>| Program { label: "sample".to_owned(), dispatches };
        Ok([program(first), program(self.dispatches(true)?)])
    }

    fn dispatches(&self, accumulate: bool) -> Result<Vec<Dispatch>, Error> {
        let value = |name: &str| {
            let (buffer, stored) = &self.values[name];
            Ok::<Parameter, nn::Error>((buffer.all(), *stored))
        };
        let gradient = |name: &str| Ok(Some(self.gradients[name].all()));
        Ok(self.space.dispatches(&self.batch, LOSS, value, gradient, accumulate)?)
    }
}

/// Activations keep about their size through a layer.
fn spread(param: &Param) -> f32 {
    match param.shape[..] {
        [_, width] => (3.0 / width as f32).sqrt().min(1.0),
        _ => 0.5,
    }
}

fn words(numbers: &[f32], stored: Storage) -> Vec<u32> {
    if stored == Storage::F32 {
        return numbers.iter().map(|number| number.to_bits()).collect();
    }
    let half = |number: &f32| u32::from(bf16::from_f32(*number).to_bits());
    numbers.chunks(2).map(|pair| half(&pair[0]) | pair.get(1).map_or(0, half) << 16).collect()
}

fn batch(engine: &Engine, sample: &Sample) -> Result<Batch, Error> {
    let [examples, context] = sample.sizes();
    let position = Position { step: 5, epoch: 1, batch: 0, counting: 0 };
    let position = engine.buffer_with("position", &[position])?.all();
    let mut batch = Batch::new(engine, examples, context)?.with("position", position);
    for (seed, (name, input)) in (90..).zip(sample.inputs()) {
        let buffer = match input {
            Input::Rows(rows, width) => {
                let stride = width.next_multiple_of(4);
                let mut numbers = noise(seed, rows * stride);
                numbers.iter_mut().enumerate().filter(|(at, _)| at % stride >= width).for_each(|(_, n)| *n = 0.0);
                engine.buffer_with(name, &numbers)?
            }
            Input::Words(count, below) => {
                let key = pcg(seed);
                let words: Vec<u32> = (0..count as u32).map(|at| pcg(at ^ key) % below.max(1)).collect();
                engine.buffer_with(name, &words)?
            }
        };
        batch = batch.with(name, buffer.all());
    }
    Ok(batch)
}

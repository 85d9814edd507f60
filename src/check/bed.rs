//! A sample's pass on an engine, over numbers from a seed.

use super::trial::JUNK;
use crate::Error;
use crate::engine::layout::{Metrics, Position, noise, pcg};
use crate::engine::{Buffer, Dispatch, Engine, Program, Range, Submission};
use crate::nn::graph::{Input, Sample};
use crate::nn::ops::write_squares;
use crate::nn::{self, Batch, LossOptions, Parameter, Workspace, reads_bf16};
use crate::params::{Param, Storage};
use half::bf16;
use std::collections::BTreeMap;

/// Label 0 does not count, a part of the target is spread, and dropout has a seed.
const LOSS: LossOptions = LossOptions { ignore: 0, smoothing: 0.1, seed: 7 };

/// How far a slope is followed to each side.
const STEP: f32 = 2e-3;

/// A sample on an engine.
pub struct Bed {
    engine: Engine,
    params: Vec<Param>,
    values: BTreeMap<String, (Buffer, Storage)>,
    gradients: BTreeMap<String, Buffer>,
    space: Workspace,
    batch: Batch,
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
        for (seed, buffer) in (501..).zip(sample.buffers()) {
            let numbers = running(&buffer.name, &noise(seed, buffer.elements()));
            values.insert(buffer.name.clone(), (engine.buffer_with(&buffer.name, &numbers)?, Storage::F32));
        }
        let batch = batch(engine, sample)?;
        Ok(Bed { engine: engine.clone(), params, values, gradients, space, batch })
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

    /// How far the loss moves along a direction, and how far the gradients say that it does, to a step's length.
    ///
    /// Half of the direction goes along the gradients, so that the loss changes, half anywhere, so that errors across them
    /// show.
    ///
    /// # Errors
    /// From the device.
    pub fn slope(&self) -> Result<[f64; 2], Error> {
        let [pass, _] = self.programs()?;
        let pass = self.engine.prepare(pass)?;
        let run = || -> Result<f64, Error> {
            self.engine.submit(&Submission { programs: &[&pass], ..Submission::default() })?;
            let metrics = self.engine.read_all(&self.space.metrics.iter().map(Buffer::all).collect::<Vec<_>>())?;
            let counts = |bytes: &Vec<u8>| bytemuck::pod_read_unaligned::<Metrics>(&bytes[..size_of::<Metrics>()]);
            // It may be that no row counts.
            let counts = metrics.iter().map(counts).filter(|counts| counts.rows > 0);
            Ok(counts.map(|counts| counts.mean_loss()).sum())
        };
        run()?;
        let mut moved = Vec::new();
        let mut expected = 0.0;
        for (seed, name) in (77..).zip(self.space.trained()) {
            let value = &self.values[name].0;
            let [start, gradient] = [value, &self.gradients[name]].map(|buffer| self.engine.read::<f32>(&buffer.all()));
            let (mut start, mut gradient) = (start?, gradient?);
            // A buffer ends in whole vec4s.
            let elements = self.params.iter().find(|param| param.name == *name).map_or(0, Param::elements);
            start.truncate(elements);
            gradient.truncate(elements);
            let other = noise(seed, start.len());
            let (size, other_size) = (length(&gradient).max(1e-12), length(&other));
            let direction: Vec<f32> = gradient
                .iter()
                .zip(&other)
                .map(|(g, o)| (f64::from(*g) / size + f64::from(*o) / other_size) as f32)
                .collect();
            expected += gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum::<f64>();
            moved.push((value, start, direction));
        }
        let loss_at = |step: f32| -> Result<f64, Error> {
            for (value, start, direction) in &moved {
                let there: Vec<f32> = start.iter().zip(direction).map(|(s, d)| s + step * d).collect();
                self.engine.write(value, 0, &there)?;
            }
            run()
        };
        let got = (loss_at(STEP)? - loss_at(-STEP)?) / (2.0 * f64::from(STEP));
        loss_at(0.0)?;
        Ok([got, expected])
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

fn length(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

/// Running statistics that may be: variances are positive, counts whole.
fn running(name: &str, noise: &[f32]) -> Vec<f32> {
    let of = |x: &f32| match name.rsplit('.').next() {
        Some("num_batches_tracked") => 3.0,
        Some("running_var") => 1.0 + 0.5 * x,
        _ => 0.3 * x,
    };
    noise.iter().map(of).collect()
}

/// Activations keep about their size through a layer.
fn spread(param: &Param) -> f32 {
    match param.shape[..] {
        [_, ref inner @ ..] if !inner.is_empty() => (3.0 / inner.iter().product::<usize>() as f32).sqrt().min(1.0),
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
    let loss_scale = engine.buffer_with("loss_scale", &[4.0f32])?.all();
    let batch = Batch::new(engine, examples, context)?;
    let mut batch = batch.with("position", position).with("loss_scale", loss_scale);
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

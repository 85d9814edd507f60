//! The fused step over more and more parameters, with data that no cache holds.

use super::step::{median, noise};
use crate::engine::Engine;
use crate::optim::{Optimizer, Parameters, Settings};
use crate::params::{Group, Param, Row};
use crate::{Error, optim::Stats};
use std::time::Instant;

const MI: usize = 1 << 20;

/// Parameters of each step.
pub(super) const PARAMETERS: [usize; 5] = [MI, 16 * MI, 64 * MI, 256 * MI, 512 * MI];

/// Parameters of a tensor, at most.
const TENSOR: usize = 16 * MI;

/// Steps of small models go round among as many as fill this, so that each finds its data cold.
const ROUND_BYTES: usize = 256 * MI;

/// Rounds behind a time.
const ROUNDS: usize = 7;

/// A step over so many parameters.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Size {
    /// Parameters.
    pub parameters: usize,
    /// Bytes that the step moves, by the program's own count.
    pub bytes: u64,
    /// Seconds on the device, the median, where it has timestamps.
    pub device_seconds: Option<f64>,
    /// Seconds from the call to the device's end, the median.
    pub wall_seconds: f64,
}

impl Size {
    /// Bytes in a second of the device's time, or of the wall's where it tells none.
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.device_seconds.unwrap_or(self.wall_seconds)
    }
}

/// `None` where the device has no room.
pub(super) fn measure(engine: &Engine, parameters: usize) -> Result<Option<Size>, Error> {
    let models = (ROUND_BYTES / (16 * parameters)).max(1);
    let values = noise(TENSOR.min(parameters), 0.02, 1);
    let made = (0..models).map(|_| model(engine, parameters, &values)).collect::<Result<Vec<_>, _>>();
    let mut models = match made {
        Ok(models) => models,
        Err(error) if super::is_about_room(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut device, mut wall) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        for (_, optimizer) in &mut models {
            let started = Instant::now();
            optimizer.step()?;
            engine.wait()?;
            // The first round compiles, and touches memory for the first time.
            if round > 0 {
                wall.push(started.elapsed().as_secs_f64());
                device.extend(optimizer.stats()?.and_then(|stats: Stats| stats.device_seconds));
            }
        }
    }
    let bytes = match models.first_mut() {
        Some((_, optimizer)) => optimizer.program()?.bytes(),
        None => 0,
    };
    let device_seconds = (device.len() == wall.len()).then(|| median(device));
    Ok(Some(Size { parameters, bytes, device_seconds, wall_seconds: median(wall) }))
}

fn model(engine: &Engine, parameters: usize, values: &[f32]) -> Result<(Parameters, Optimizer), Error> {
    let tensors = (0..parameters).step_by(TENSOR).map(|first| {
        let elements = TENSOR.min(parameters - first);
        Param::new(format!("tensor.{}", first / TENSOR), [elements])
    });
    let tensors: Vec<Param> = tensors.collect();
    let group = Group::new("all", Row::default(), tensors.iter().map(|tensor| tensor.name.clone()));
    let memory = Parameters::new(engine, &tensors, None)?;
    let optimizer = Optimizer::new(engine, &memory, &[group], Settings::default())?;
    for tensor in &tensors {
        memory.upload(&tensor.name, &values[..tensor.elements()])?;
        optimizer.upload_gradient(&tensor.name, &values[..tensor.elements()])?;
    }
    Ok((memory, optimizer))
}

//! The fused step over more and more parameters, with data that no cache holds.

use super::step::{Quartiles, Step, median, noise};
use crate::Error;
use crate::engine::{Engine, Range};
use crate::optim::{Optimizer, Parameters, Settings};
use crate::params::{Group, Param, Row};

const MI: usize = 1 << 20;

/// Parameters of each step.
pub(super) const PARAMETERS: [usize; 5] = [MI, 16 * MI, 64 * MI, 256 * MI, 512 * MI];

/// Parameters of a tensor, at most.
const TENSOR: usize = 16 * MI;

/// Steps of small models take turns among enough models to fill this, so that each finds its data cold.
const ROUND_BYTES: usize = 256 * MI;

/// Rounds for a time.
const ROUNDS: usize = 7;

/// A step over so many parameters.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Size {
    /// Parameters.
    pub parameters: usize,
    /// Bytes that the step moves, by the program's own count.
    pub bytes: u64,
    /// Seconds on the device, the median, if it has timestamps.
    pub device_seconds: Option<f64>,
    /// Seconds from the call to the device's end, the median.
    pub wall_seconds: f64,
    /// The time of copies of as many bytes over the step's, taken in turn; `None` if the device has no room for them.
    pub share_of_copy: Option<Quartiles>,
}

impl Size {
    /// Bytes in a second of the device's time, or of the host's clock without it.
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.device_seconds.unwrap_or(self.wall_seconds)
    }
}

/// `None` if the device has no room.
pub(super) fn measure(engine: &Engine, parameters: usize) -> Result<Option<Size>, Error> {
    let count = (ROUND_BYTES / (16 * parameters)).max(1);
    let values = noise(TENSOR.min(parameters), 0.02, 1);
    let made = (0..count).map(|_| Model::new(engine, parameters, &values)).collect();
    let Some(mut models) = where_there_is_room::<Vec<Model>>(made)? else { return Ok(None) };
    let copies = models.iter().map(|model| Step::copying(engine, &model.tensors)).collect();
    let mut copies = where_there_is_room::<Vec<Step>>(copies)?.unwrap_or_default();
    let (mut device, mut wall, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        for (place, model) in models.iter_mut().enumerate() {
            let step = model.step.time()?;
            // Half a round away: the copies of this model would find its data in a cache.
            let copied = copies.get_mut((place + count / 2) % count).map(Step::time).transpose()?;
            // The first round compiles, and touches memory for the first time.
            if round > 0 {
                wall.push(step.wall);
                device.extend(step.device);
                shares.extend(copied.map(|copied| copied.by(&step)));
            }
        }
    }
    let bytes = models.first_mut().map_or(Ok(0), |model| model.step.bytes())?;
    let device_seconds = (device.len() == wall.len()).then(|| median(device));
    let share_of_copy = (!shares.is_empty()).then(|| Quartiles::of(shares));
    Ok(Some(Size { parameters, bytes, device_seconds, wall_seconds: median(wall), share_of_copy }))
}

fn where_there_is_room<T>(made: Result<T, Error>) -> Result<Option<T>, Error> {
    match made {
        Err(error) if super::is_about_room(&error) => Ok(None),
        made => made.map(Some),
    }
}

/// A step with its own memory.
struct Model {
    step: Step,
    /// Values and gradient of each tensor.
    tensors: Vec<[Range; 2]>,
}

impl Model {
    fn new(engine: &Engine, parameters: usize, values: &[f32]) -> Result<Model, Error> {
        let params = (0..parameters).step_by(TENSOR).map(|first| {
            let elements = TENSOR.min(parameters - first);
            Param::new(format!("tensor.{}", first / TENSOR), [elements])
        });
        let params: Vec<Param> = params.collect();
        let group = Group::new("all", Row::default(), params.iter().map(|param| param.name.clone()));
        let memory = Parameters::new(engine, &params, None)?;
        let optimizer = Optimizer::new(engine, &memory, &[group], Settings::default())?;
        let mut tensors = Vec::with_capacity(params.len());
        for param in &params {
            memory.upload(&param.name, &values[..param.elements()])?;
            optimizer.upload_gradient(&param.name, &values[..param.elements()])?;
            tensors.push([memory.place(&param.name)?.0, optimizer.gradient(&param.name)?]);
        }
        Ok(Model { step: Step::of(engine, optimizer), tensors })
    }
}

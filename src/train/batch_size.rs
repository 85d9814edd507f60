//! The batch size that trains fastest within a limit of memory, found by trying.

use super::task::Task;
use super::trainer::step_of;
use super::{Config, Error};
use crate::engine::{Engine, Prepared, Submission};
use crate::optim::{Forecast, Next, Optimizer, Parameters};
use crate::params::{Field, Group, Param, Row};
use std::collections::HashMap;
use std::time::Instant;

/// Steps of a measurement, with a wait after each; one more comes before them.
const STEPS: usize = 5;

/// Batch sizes that were tried, and the best of them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AutoBatchSize {
    /// Rows of a micro-batch that train fastest.
    pub batch_size: usize,
    /// All that were tried, from the smallest to the largest that fits.
    pub tried: Vec<TriedBatchSize>,
}

/// What a batch size takes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TriedBatchSize {
    /// Rows of a micro-batch.
    pub batch_size: usize,
    /// Bytes of parameters, gradients, moments and activations, those of a test too, as far as they are known beforehand.
    /// The data set is not among them.
    pub bytes: u64,
    /// Rows trained in a second; `None` if the device had no room after all.
    pub samples_per_second: Option<f64>,
}

/// Steps that an epoch has at least with a batch size that is found: few updates learn little, however fast they come. As
/// in Ludwig, which takes at most a fifth of the train set.
const LEAST_STEPS: u64 = 5;

/// Finds the batch size that trains fastest: tries the powers of two that leave an epoch five steps and take at most
/// `limit_bytes`, up to the first for which the device has no room, and takes steps of the real program with each.
///
/// `groups` are the trainable ones; the groups of a schedule's last phase need the most. `config` gives the rest; its
/// batch size is ignored. Parameters, moments and data exist only for the trial, whose steps have the rate 0. Nothing
/// else on the device is touched, but the engine's counters go up. Speeds are measured by the clock: two searches may
/// differ if two sizes are about as fast.
///
/// # Errors
/// [`Error::NoBatchFits`] if a batch of 1 takes more than the limit; the errors of a batch of 1; from the device.
pub fn auto_batch_size(
    engine: &Engine,
    task: &dyn Task,
    config: &Config,
    groups: &[Group],
    limit_bytes: u64,
) -> Result<AutoBatchSize, Error> {
    let sizes = sizes(engine, task, config, groups, limit_bytes)?;
    let mut trial = Trial::new(engine, task, config, groups)?;
    let mut tried = Vec::with_capacity(sizes.len());
    for (batch_size, bytes) in sizes {
        let speed = trial.samples_per_second(&Config { batch_size, ..config.clone() });
        let samples_per_second = match speed {
            Ok(speed) => Some(speed),
            // A batch of 1 that finds no room is an error.
            Err(error) if !tried.is_empty() && error.is_about_room() => None,
            Err(error) => return Err(error),
        };
        tried.push(TriedBatchSize { batch_size, bytes, samples_per_second });
        if samples_per_second.is_none() {
            break;
        }
    }
    drop(trial);
    // What the trial held is free now, not with the next submission.
    engine.wait()?;
    Ok(AutoBatchSize { batch_size: fastest(&tried), tried })
}

/// The batch size that trains fastest; of equals the largest.
fn fastest(tried: &[TriedBatchSize]) -> usize {
    let speed = |tried: &TriedBatchSize| tried.samples_per_second.unwrap_or(0.0);
    let best = tried.iter().max_by(|first, second| speed(first).total_cmp(&speed(second)));
    best.map_or(1, |tried| tried.batch_size)
}

/// The sizes to be tried, each with its bytes.
fn sizes(
    engine: &Engine,
    task: &dyn Task,
    config: &Config,
    groups: &[Group],
    limit_bytes: u64,
) -> Result<Vec<(usize, u64)>, Error> {
    let of = |batch_size| Config { batch_size, ..config.clone() };
    // What refuses a batch of 1 is not a matter of size.
    of(1).check()?;
    task.steps_per_epoch(&of(1))?;
    task.check(engine, &of(1))?;
    let mut sizes = Vec::new();
    for batch_size in (0..usize::BITS).map(|power| 1 << power) {
        let config = of(batch_size);
        let steps = task.steps_per_epoch(&config).unwrap_or(0);
        // Of a set of fewer rows than that each is a step.
        if steps == 0 || (steps < LEAST_STEPS && !sizes.is_empty()) || task.check(engine, &config).is_err() {
            break;
        }
        let bytes = bytes(task, &config, groups)?;
        if bytes > limit_bytes {
            if sizes.is_empty() {
                return Err(Error::NoBatchFits { bytes, limit_bytes });
            }
            break;
        }
        sizes.push((batch_size, bytes));
    }
    Ok(sizes)
}

/// Bytes of parameters, gradients, moments and activations, as far as they are known.
pub(super) fn bytes(task: &dyn Task, config: &Config, groups: &[Group]) -> Result<u64, Error> {
    let rows = trainable_rows(groups);
    let params = task.params();
    let of = |param: &Param| {
        let row = rows.get(param.name.as_str());
        let forecast = Forecast::of(row.map_or(&[], std::slice::from_ref), &config.settings);
        let forecast = forecast.with_precision(config.precision(param));
        let (values, param) = (forecast.parameter_bytes([param]), [param]);
        values + row.map_or(0, |_| forecast.gradient_bytes(param) + forecast.state_bytes(param))
    };
    let activations = task.activation_bytes(config, &|name| rows.contains_key(name))?.unwrap_or(0);
    Ok(params.iter().map(of).sum::<u64>() + activations)
}

/// The row of each parameter that trains.
pub(super) fn trainable_rows(groups: &[Group]) -> HashMap<&str, Row> {
    groups.iter().flat_map(|group| group.params.iter().map(|name| (name.as_str(), group.row))).collect()
}

/// A model of our own to take steps with.
struct Trial<'a> {
    engine: &'a Engine,
    task: &'a dyn Task,
    parameters: Parameters,
    optimizer: Optimizer,
}

impl<'a> Trial<'a> {
    fn new(engine: &'a Engine, task: &'a dyn Task, config: &Config, groups: &[Group]) -> Result<Trial<'a>, Error> {
        let page_bytes = config.settings.page_bytes;
        let parameters = Parameters::stored(engine, &task.params(), |param| config.precision(param), page_bytes)?
            .with_buffers(&task.buffers())?;
        for (name, values) in task.initial(config.seed) {
            parameters.upload(&name, &values)?;
        }
        let still = |group: &Group| Group { row: group.row.with(Field::Lr, 0.0), ..group.clone() };
        let groups: Vec<Group> = groups.iter().map(still).collect();
        let optimizer = Optimizer::new(engine, &parameters, &groups, config.settings)?;
        Ok(Trial { engine, task, parameters, optimizer })
    }

    fn samples_per_second(&mut self, config: &Config) -> Result<f64, Error> {
        // The whole step is measured: with a cached trunk, no batch size makes it slower.
        let config = &Config { trunk_device_limit_bytes: 0, trunk_host_limit_bytes: 0, ..config.clone() };
        let mut task = self.task.place(self.engine, config)?;
        let step = step_of((self.engine, config.rank), &mut *task, &self.parameters, &mut self.optimizer)?;
        self.step(&step)?;
        let mut seconds = [0.0; STEPS];
        for seconds in &mut seconds {
            *seconds = self.step(&step)?;
        }
        seconds.sort_by(f64::total_cmp);
        Ok(config.rows_per_step() as f64 / seconds[STEPS / 2].max(f64::MIN_POSITIVE))
    }

    /// Seconds of a step.
    fn step(&mut self, step: &Prepared) -> Result<f64, Error> {
        let started = Instant::now();
        let Next { uploads, program, slot, lost, .. } = self.optimizer.next(None)?;
        let programs = &[step, program];
        self.engine.submit(&Submission { uploads, programs, slot, lost: Some(lost), ..Submission::default() })?;
        self.engine.wait()?;
        Ok(started.elapsed().as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_is_taken_and_of_equals_the_largest() {
        let tried = |speeds: &[Option<f64>]| -> Vec<TriedBatchSize> {
            let tried = speeds.iter().enumerate().map(|(power, speed)| TriedBatchSize {
                batch_size: 1 << power,
                bytes: 0,
                samples_per_second: *speed,
            });
            tried.collect()
        };
        for (speeds, expected) in [
            (&[Some(3.0), Some(9.0), Some(5.0)][..], 2),
            (&[Some(3.0), Some(5.0), Some(5.0)], 4),
            (&[Some(3.0), Some(5.0), None], 2),
            (&[Some(3.0)], 1),
        ] {
            assert_eq!(fastest(&tried(speeds)), expected, "{speeds:?}");
        }
    }
}

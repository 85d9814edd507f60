//! The coming step's gradients, without taking the step: to hold one engine against another.

use super::task::gradient_of;
use super::{Error, Trainer};
use crate::check::{Compared, compare, walk};
use crate::engine::kernels::ValueStorage;
use crate::engine::{Engine, Range, Submission, Upload};
use crate::optim::{LossScaleState, Next, Optimizer};
use std::time::Instant;

/// The bound of a gradient's error, relative to its size.
const BOUND: f64 = 1e-3;

/// The same where values, or the factors of products, were rounded to 16 bits.
const BOUND_OF_16_BITS: f64 = 5e-2;

/// A gradient need not be more exact than this share of the size of all of them: if its terms cancel, as for the bias
/// of an attention's keys, only rounding is left.
pub(super) const LEAST_SHARE: f64 = 0.1;

/// How often a loss scale is made smaller whose gradients overflow, and how much.
const TRIES: usize = 6;
const SMALLER: f32 = 1.0 / 16.0;

/// How often a step is measured.
const MEASURED: usize = 5;

/// Gradients by name.
type Gradients = Vec<(String, Vec<f32>)>;

/// How the gradients of a step on one engine agree with those on another.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Agreement {
    /// Gradients that were compared.
    pub tensors: usize,
    /// The one that is furthest off, and by how much: its largest difference, relative to the root mean square of the tensor,
    /// or to a tenth of that of all of them, whichever is larger.
    pub worst: (String, f64),
    /// What is allowed.
    pub bound: f64,
}

impl Agreement {
    /// Whether every gradient is within the bound.
    pub fn holds(&self) -> bool {
        self.worst.1 <= self.bound
    }
}

/// A dispatch of a step that differs from the same on the host.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Disagreement {
    /// The kernel.
    pub kernel: &'static str,
    /// Where, and by how much.
    pub reason: String,
}

impl Trainer {
    /// Stands where another trainer of the same task and plan does, with its parameters; for a trainer that has begun nothing.
    ///
    /// # Errors
    /// From the device.
    pub fn stand_as(&mut self, other: &Trainer) -> Result<(), Error> {
        self.cursor = other.cursor.clone();
        self.parameters.load(&other.parameters.read_file()?)?;
        let groups = self.plan.groups(&self.cursor)?;
        self.optimizer = Optimizer::new(&self.engine, &self.parameters, &groups, self.config.settings)?;
        self.optimizer.go_to_step(self.cursor.step())?;
        self.forget_programs();
        self.forget_rows();
        Ok(())
    }

    /// Multiplications and additions of the coming step's products of matrices.
    ///
    /// # Errors
    /// From the device, if its programs must be made first.
    pub fn step_flops(&mut self) -> Result<u64, Error> {
        Ok(self.programs()?.into_iter().map(|program| program.flops()).sum())
    }

    /// Seconds of the coming step without its update, the median of a few. The step is not taken.
    ///
    /// # Errors
    /// From the device.
    pub(super) fn coming_seconds(&mut self) -> Result<f64, Error> {
        self.without_a_trace(|trainer, slot| {
            let Some(step) = &trainer.step else { return Ok(0.0) };
            let mut seconds = [0.0; MEASURED];
            // What was compiled or loaded just now is not measured.
            for place in [0].into_iter().chain(0..MEASURED) {
                let started = Instant::now();
                trainer.engine.submit(&Submission { programs: &[step], slot, ..Submission::default() })?;
                trainer.engine.wait()?;
                seconds[place] = started.elapsed().as_secs_f64();
            }
            seconds.sort_by(f64::total_cmp);
            Ok(seconds[MEASURED / 2])
        })
    }

    /// The gradients of the coming step, by name. The step is not taken, and what it counts is as before. Waits for the
    /// device.
    ///
    /// # Errors
    /// From the device.
    pub fn coming_gradients(&mut self) -> Result<Vec<(String, Vec<f32>)>, Error> {
        self.without_a_trace(|trainer, slot| {
            if let Some(step) = &trainer.step {
                trainer.engine.submit(&Submission { programs: &[step], slot, ..Submission::default() })?;
            }
            let scale = trainer.optimizer.read_loss_scale()?.map_or(1.0, |state| state.scale);
            let mut gradients = Vec::new();
            for param in trainer.parameters.params() {
                if let Some(range) = gradient_of(&trainer.optimizer, &param.name)? {
                    let mut gradient = trainer.engine.read::<f32>(&range)?;
                    gradient.truncate(param.elements());
                    gradient.iter_mut().for_each(|slope| *slope /= scale);
                    gradients.push((param.name.clone(), gradient));
                }
            }
            Ok(gradients)
        })
    }

    /// The gradients of the coming step with the largest loss scale that they do not overflow with, and that scale. The run's own
    /// stays as it is.
    pub(super) fn finite_gradients(&mut self) -> Result<(Gradients, Option<LossScaleState>), Error> {
        let mut scale = self.optimizer.read_loss_scale()?;
        let mut gradients = self.coming_gradients()?;
        for _ in 0..TRIES {
            let Some(state) = scale.filter(|_| !are_finite(&gradients)) else { break };
            scale = Some(LossScaleState::new(state.scale * SMALLER, 0));
            gradients = self.gradients_scaled(scale)?;
        }
        Ok((gradients, scale))
    }

    /// The gradients of the coming step with this loss scale in the place of the run's own.
    fn gradients_scaled(&mut self, scale: Option<LossScaleState>) -> Result<Gradients, Error> {
        let own = self.optimizer.read_loss_scale()?;
        scale.map_or(Ok(()), |scale| self.optimizer.set_loss_scale(scale))?;
        let gradients = self.coming_gradients();
        own.map_or(Ok(()), |own| self.optimizer.set_loss_scale(own))?;
        gradients
    }

    /// How the gradients of the coming step agree with those of a trainer that [stands as](Trainer::stand_as) this one.
    ///
    /// # Errors
    /// From the devices.
    pub fn agreement(&mut self, other: &mut Trainer) -> Result<Agreement, Error> {
        let (got, scale) = self.finite_gradients()?;
        let expected = other.gradients_scaled(scale)?;
        let has_f16 = self.engine.choices().otherwise == crate::engine::Tiling::Cooperative;
        let is_rounded = has_f16 || self.config.values.values != ValueStorage::F32;
        let least = LEAST_SHARE * finite_size(expected.iter().flat_map(|(_, gradient)| gradient));
        let mut worst = (String::new(), 0.0);
        for ((name, got), (_, expected)) in got.iter().zip(&expected) {
            let size = finite_size(expected).max(least).max(f64::MIN_POSITIVE);
            let errors = got.iter().zip(expected).map(|(a, b)| match a.is_finite() && b.is_finite() {
                true => (f64::from(*a) - f64::from(*b)).abs() / size,
                false if a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan() => 0.0,
                false => f64::INFINITY,
            });
            let error = errors.fold(0.0, f64::max);
            if error > worst.1 || worst.0.is_empty() {
                worst = (name.clone(), error);
            }
        }
        let bound = if is_rounded { BOUND_OF_16_BITS } else { BOUND };
        Ok(Agreement { tensors: expected.len(), worst, bound })
    }

    /// The dispatches of the coming step that leave something else than the CPU engine does with the same memory. The step is
    /// not taken. Reads all that each dispatch is bound to.
    ///
    /// # Errors
    /// From the device.
    pub fn disagreements(&mut self) -> Result<Vec<Disagreement>, Error> {
        let host = Engine::cpu();
        self.without_a_trace(|trainer, slot| {
            let mut all = Vec::new();
            let Some(step) = &trainer.step else { return Ok(all) };
            walk(&trainer.engine, step.program(), (slot, &|_| true), |_, trial, got| {
                let Compared { wrong, .. } = compare(&trial, &got, &trial.run(&host)?);
                all.extend(wrong.map(|reason| Disagreement { kernel: trial.kernel.name, reason }));
                Ok::<(), Error>(())
            })?;
            Ok(all)
        })
    }

    /// Runs something over the coming step's table and slot, and puts back what the step counts.
    pub(super) fn without_a_trace<T>(
        &mut self,
        run: impl FnOnce(&Trainer, u32) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.coming_lrs.is_empty() {
            self.load_rows()?;
        }
        self.make_step()?;
        // A pass counts its loss, and takes its batch into running statistics.
        let written: Vec<Range> = self.parameters.buffer_ranges().into_iter().chain([self.metrics()]).collect();
        let before = self.engine.read_all(&written)?;
        let Next { mut uploads, slot, step, lost, .. } = self.optimizer.next(None)?;
        uploads.extend(self.task.uploads(step));
        let lost = Some(lost);
        let uploaded = self.engine.submit(&Submission { uploads, lost, ..Submission::default() });
        let done = uploaded.map_err(Error::from).and_then(|()| run(self, slot));
        self.optimizer.go_to_step(step)?;
        let upload = |(range, data): (Range, Vec<u8>)| Upload { buffer: range.buffer, offset: range.offset, data };
        let uploads = written.into_iter().zip(before).map(upload).collect();
        self.engine.submit(&Submission { uploads, ..Submission::default() })?;
        done
    }
}

fn are_finite(gradients: &[(String, Vec<f32>)]) -> bool {
    gradients.iter().flat_map(|(_, gradient)| gradient).all(|slope| slope.is_finite())
}

/// The root mean square of what is finite.
fn finite_size<'a>(values: impl IntoIterator<Item = &'a f32>) -> f64 {
    root_mean_square(values.into_iter().map(|value| f64::from(*value)).filter(|value| value.is_finite()))
}

pub(super) fn root_mean_square(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value * value, count + 1));
    (sum / count.max(1) as f64).sqrt()
}

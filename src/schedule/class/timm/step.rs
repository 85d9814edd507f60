//! The rate times a factor every few steps.

use super::super::python::{floor_divide, power};
use super::{Arguments, Built, Curve, Fault, Warmup, boxed, reader};

/// base · rate^(t div decay_t); decay_t may be a fraction. `timm.scheduler.StepLRScheduler`.
#[derive(Debug)]
struct Step {
    decay_t: f64,
    decay_rate: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "StepLRScheduler";
    let reader = reader(class, arguments, &["decay_t", "decay_rate", "warmup_prefix"])?;
    let curve = Step { decay_t: reader.required("decay_t")?, decay_rate: reader.number("decay_rate", 1.0)? };
    boxed(Warmup::read(class, &reader, reader.truth("warmup_prefix", true)?)?, curve)
}

impl Curve for Step {
    fn at(&self, base: f64, t: f64) -> Result<f64, Fault> {
        Ok(base * power(self.decay_rate, floor_divide(t, self.decay_t)?)?)
    }
}

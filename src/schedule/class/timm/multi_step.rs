//! The rate times a factor at milestones.

use super::super::python::{bisect_right, power};
use super::{Arguments, Built, Curve, Fault, Warmup, boxed, reader};

/// base · rate^(milestones up to t + 1): milestone m acts at t = m − 1. `timm.scheduler.MultiStepLRScheduler`.
#[derive(Debug)]
struct MultiStep {
    decay_t: Vec<f64>,
    decay_rate: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "MultiStepLRScheduler";
    let reader = reader(class, arguments, &["decay_t", "decay_rate", "warmup_prefix"])?;
    let curve = MultiStep { decay_t: reader.numbers("decay_t")?, decay_rate: reader.number("decay_rate", 1.0)? };
    boxed(Warmup::read(class, &reader, reader.truth("warmup_prefix", true)?)?, curve)
}

impl Curve for MultiStep {
    fn at(&self, base: f64, t: f64) -> Result<f64, Fault> {
        Ok(base * power(self.decay_rate, bisect_right(&self.decay_t, t + 1.0) as f64)?)
    }
}

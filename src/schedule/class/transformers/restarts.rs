//! Warm-up, then several cosines from the base rate.

use super::super::python::modulo;
use super::super::reader::Reader;
use super::{Arguments, Built, Fault, Share, not_negative, progress, shared, warmup};
use std::f64::consts::PI;

/// (1 + cos(π (cycles p mod 1))) / 2, and 0 from p = 1 on.
/// `transformers.get_cosine_with_hard_restarts_schedule_with_warmup`.
#[derive(Debug)]
struct Restarts {
    warmup: f64,
    total: f64,
    cycles: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "get_cosine_with_hard_restarts_schedule_with_warmup";
    let known = ["num_warmup_steps", "num_training_steps", "num_cycles", "last_epoch"];
    let reader = Reader::new(class, arguments, &known)?;
    let share = Restarts {
        warmup: reader.required("num_warmup_steps")?,
        total: reader.required("num_training_steps")?,
        cycles: reader.number("num_cycles", 1.0)?,
    };
    shared(class, &reader, share)
}

impl Share for Restarts {
    fn at(&self, n: f64, _default_lr: f64) -> Result<f64, Fault> {
        if let Some(share) = warmup(n, self.warmup) {
            return Ok(share);
        }
        let progress = progress(n, self.warmup, self.total);
        if progress >= 1.0 {
            return Ok(0.0);
        }
        not_negative(0.5 * (1.0 + (PI * modulo(self.cycles * progress, 1.0)?).cos()))
    }
}

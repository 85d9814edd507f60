//! Warm-up, then the inverse square root of the step.

use super::super::python::{divide, root};
use super::super::reader::Reader;
use super::{Arguments, Built, Fault, Share, shared, warmup};

/// 1 / √((n + ts − W) / ts), ts = timescale, or W, or 10000. `transformers.get_inverse_sqrt_schedule`.
#[derive(Debug)]
struct InverseSqrt {
    warmup: f64,
    timescale: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "get_inverse_sqrt_schedule";
    let reader = Reader::new(class, arguments, &["num_warmup_steps", "timescale", "last_epoch"])?;
    let warmup = reader.required("num_warmup_steps")?;
    let otherwise = if warmup == 0.0 { 10_000.0 } else { warmup };
    let timescale = reader.maybe("timescale")?.unwrap_or(otherwise);
    shared(class, &reader, InverseSqrt { warmup, timescale })
}

impl Share for InverseSqrt {
    fn at(&self, n: f64, _default_lr: f64) -> Result<f64, Fault> {
        match warmup(n, self.warmup) {
            Some(share) => Ok(share),
            None => divide(1.0, root(divide(n + self.timescale - self.warmup, self.timescale)?)?),
        }
    }
}

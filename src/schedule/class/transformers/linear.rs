//! Warm-up, then a straight line to 0.

use super::super::reader::Reader;
use super::{Arguments, Built, Fault, Share, not_negative, shared, warmup};

/// max(0, (N − n) / max(1, N − W)). `transformers.get_linear_schedule_with_warmup`.
#[derive(Debug)]
struct Linear {
    warmup: f64,
    total: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "get_linear_schedule_with_warmup";
    let reader = Reader::new(class, arguments, &["num_warmup_steps", "num_training_steps", "last_epoch"])?;
    let share = Linear { warmup: reader.required("num_warmup_steps")?, total: reader.required("num_training_steps")? };
    shared(class, &reader, share)
}

impl Share for Linear {
    fn at(&self, n: f64, _default_lr: f64) -> Result<f64, Fault> {
        match warmup(n, self.warmup) {
            Some(share) => Ok(share),
            None => not_negative((self.total - n) / (self.total - self.warmup).max(1.0)),
        }
    }
}

//! Warm-up, then a cosine.

use super::super::reader::Reader;
use super::{Arguments, Built, Fault, Share, not_negative, progress, shared, warmup};
use std::f64::consts::PI;

/// max(0, (1 + cos(2π cycles p)) / 2), p = (n − W) / max(1, N − W). `transformers.get_cosine_schedule_with_warmup`.
///
/// p grows past the end: the rate rises again.
#[derive(Debug)]
struct Cosine {
    warmup: f64,
    total: f64,
    cycles: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "get_cosine_schedule_with_warmup";
    let known = ["num_warmup_steps", "num_training_steps", "num_cycles", "last_epoch"];
    let reader = Reader::new(class, arguments, &known)?;
    let share = Cosine {
        warmup: reader.required("num_warmup_steps")?,
        total: reader.required("num_training_steps")?,
        cycles: reader.number("num_cycles", 0.5)?,
    };
    shared(class, &reader, share)
}

impl Share for Cosine {
    fn at(&self, n: f64, _default_lr: f64) -> Result<f64, Fault> {
        match warmup(n, self.warmup) {
            Some(share) => Ok(share),
            None => {
                let turn = PI * self.cycles * 2.0 * progress(n, self.warmup, self.total);
                not_negative(0.5 * (1.0 + turn.cos()))
            }
        }
    }
}

//! The base rate, with or without warm-up.

use super::super::reader::Reader;
use super::{Arguments, Built, Fault, Share, shared, warmup};

/// 1 from W on. `transformers.get_constant_schedule` and `transformers.get_constant_schedule_with_warmup`.
#[derive(Debug)]
struct Constant {
    warmup: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "get_constant_schedule";
    let reader = Reader::new(class, arguments, &["last_epoch"])?;
    shared(class, &reader, Constant { warmup: f64::NEG_INFINITY })
}

pub(super) fn make_with_warmup(arguments: &Arguments) -> Built {
    let class = "get_constant_schedule_with_warmup";
    let reader = Reader::new(class, arguments, &["num_warmup_steps", "last_epoch"])?;
    shared(class, &reader, Constant { warmup: reader.required("num_warmup_steps")? })
}

impl Share for Constant {
    fn at(&self, n: f64, _default_lr: f64) -> Result<f64, Fault> {
        Ok(warmup(n, self.warmup).unwrap_or(1.0))
    }
}

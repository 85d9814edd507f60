//! Warm-up, then a power of what is left.

use super::super::python::{divide, power};
use super::super::reader::Reader;
use super::{Arguments, Built, Fault, Share, shared, warmup};

/// ((d − e)(1 − (n − W)/(N − W))^power + e) / d, and e/d past N. `transformers.get_polynomial_decay_schedule_with_warmup`.
///
/// d is the optimizer's own rate, so that a group with another rate ends at e · lr / d. W = N divides by zero at N.
#[derive(Debug)]
struct Polynomial {
    warmup: f64,
    total: f64,
    end: f64,
    power: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "get_polynomial_decay_schedule_with_warmup";
    let known = ["num_warmup_steps", "num_training_steps", "lr_end", "power", "last_epoch"];
    let reader = Reader::new(class, arguments, &known)?;
    let share = Polynomial {
        warmup: reader.required("num_warmup_steps")?,
        total: reader.required("num_training_steps")?,
        end: reader.number("lr_end", 1e-7)?,
        power: reader.number("power", 1.0)?,
    };
    shared(class, &reader, share)
}

impl Share for Polynomial {
    fn at(&self, n: f64, default_lr: f64) -> Result<f64, Fault> {
        if let Some(share) = warmup(n, self.warmup) {
            return Ok(share);
        }
        if n > self.total {
            return divide(self.end, default_lr);
        }
        let left = 1.0 - divide(n - self.warmup, self.total - self.warmup)?;
        divide((default_lr - self.end) * power(left, self.power)? + self.end, default_lr)
    }

    fn misfit(&self, default_lr: f64) -> Option<String> {
        let fits = default_lr > self.end;
        (!fits).then(|| format!("lr_end {} is not smaller than the optimizer's lr {default_lr}", self.end))
    }
}

//! A cosine with warm-up and cool-down, in epochs.

use super::super::python::{divide, power};
use super::super::reader::Reader;
use super::{Arguments, Built, Fault, FieldLaw, FieldScheduler, Update};
use std::f64::consts::PI;

/// Warm-up to n = W, lo + (b − lo)(1 + cos(π (n − W)^k / L^k)) / 2 to n = L = T − W − C, then lo.
/// `pytorch_accelerated.schedulers.CosineLrScheduler`.
///
/// The cosine ends at L, not at T − C: with warm-up its last W steps are cut off. With a warm-up ratio the slope still
/// uses the absolute start, so the ramp goes over the base value; the constructor writes the absolute start too.
#[derive(Debug)]
struct Cosine {
    total: f64,
    warmup: f64,
    cooldown: f64,
    k_decay: f64,
    lr_min: f64,
    min_ratio: Option<f64>,
    start: f64,
    start_ratio: Option<f64>,
}

const ARGUMENTS: &[&str] = &[
    "total_num_epochs",
    "num_update_steps_per_epoch",
    "k_decay",
    "lr_min",
    "min_lr_ratio",
    "num_warmup_epochs",
    "warmup_starting_lr",
    "warmup_starting_lr_ratio",
    "num_cooldown_epochs",
];

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "CosineLrScheduler";
    let reader = Reader::new(class, arguments, ARGUMENTS)?;
    let epochs = reader.required("total_num_epochs")?;
    let updates = reader.required("num_update_steps_per_epoch")?;
    let law = Cosine {
        total: epochs * updates,
        warmup: reader.number("num_warmup_epochs", 0.0)? * updates,
        cooldown: reader.number("num_cooldown_epochs", 0.0)? * updates,
        k_decay: reader.number("k_decay", 1.0)?,
        lr_min: reader.number("lr_min", 1e-6)?,
        min_ratio: reader.maybe("min_lr_ratio")?,
        start: reader.number("warmup_starting_lr", 1e-6)?,
        start_ratio: reader.maybe("warmup_starting_lr_ratio")?,
    };
    for (value, argument) in [(epochs, "total_num_epochs"), (updates, "num_update_steps_per_epoch")] {
        if value.is_nan() || value <= 0.0 {
            return Err(reader.bad(argument, "greater than 0"));
        }
    }
    if law.lr_min.is_nan() || law.lr_min < 0.0 {
        return Err(reader.bad("lr_min", "0 or more"));
    }
    Ok(Box::new(FieldScheduler::new(class, law)))
}

impl Cosine {
    fn lowest(&self, base: f64) -> f64 {
        self.min_ratio.map_or(self.lr_min, |ratio| ratio * base)
    }

    fn value(&self, base: f64, n: f64) -> Result<f64, Fault> {
        if n < self.warmup {
            let start = self.start_ratio.map_or(self.start, |ratio| ratio * base);
            return Ok(start + n * divide(base - self.start, self.warmup)?);
        }
        let (low, length) = (self.lowest(base), self.total - (self.warmup + self.cooldown));
        if n >= length {
            return Ok(low);
        }
        let turn = divide(PI * power(n - self.warmup, self.k_decay)?, power(length, self.k_decay)?)?;
        Ok(low + 0.5 * (base - low) * (1.0 + turn.cos()))
    }
}

impl FieldLaw for Cosine {
    fn first(&self, _bases: &[f64]) -> Result<Update, Fault> {
        Ok(if self.warmup == 0.0 { Update::Keep } else { Update::All(self.start) })
    }

    fn updated(&self, bases: &[f64], n: f64) -> Result<Update, Fault> {
        let values: Result<Vec<f64>, Fault> = bases.iter().map(|base| self.value(*base, n)).collect();
        values.map(Update::Each)
    }
}

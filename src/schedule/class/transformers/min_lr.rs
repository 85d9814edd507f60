//! Warm-up, then a cosine down to a lowest rate.

use super::super::reader::Reader;
use super::{Arguments, Built, Fault, Lowest, Share, not_negative, progress, shared, warmup};
use std::f64::consts::PI;

/// c(1 − r) + r, c = (1 + cos(2π cycles p)) / 2 and r the lowest share; not held past the end.
/// `transformers.get_cosine_with_min_lr_schedule_with_warmup`.
#[derive(Debug)]
struct MinLr {
    warmup: f64,
    total: f64,
    cycles: f64,
    lowest: Lowest,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "get_cosine_with_min_lr_schedule_with_warmup";
    let known = ["num_warmup_steps", "num_training_steps", "num_cycles", "last_epoch", "min_lr", "min_lr_rate"];
    let reader = Reader::new(class, arguments, &known)?;
    shared(class, &reader, MinLr::read(&reader)?)
}

impl MinLr {
    fn read(reader: &Reader) -> Result<MinLr, super::Error> {
        Ok(MinLr {
            warmup: reader.required("num_warmup_steps")?,
            total: reader.required("num_training_steps")?,
            cycles: reader.number("num_cycles", 0.5)?,
            lowest: Lowest::read(reader)?,
        })
    }

    fn cosine(&self, progress: f64, default_lr: f64) -> Result<f64, Fault> {
        let lowest = self.lowest.share(default_lr)?;
        let cosine = 0.5 * (1.0 + (PI * self.cycles * 2.0 * progress).cos());
        not_negative(cosine * (1.0 - lowest) + lowest)
    }
}

impl Share for MinLr {
    fn at(&self, n: f64, default_lr: f64) -> Result<f64, Fault> {
        match warmup(n, self.warmup) {
            Some(share) => Ok(share),
            None => self.cosine(progress(n, self.warmup, self.total), default_lr),
        }
    }
}

/// The same one step ahead: warm-up (n + 1) / W, or from a share w up; p from n − W + 1.
/// `transformers.get_cosine_with_min_lr_schedule_with_warmup_lr_rate`.
#[derive(Debug)]
struct WithRate {
    law: MinLr,
    rate: Option<f64>,
}

pub(super) fn make_with_rate(arguments: &Arguments) -> Built {
    let class = "get_cosine_with_min_lr_schedule_with_warmup_lr_rate";
    let known = [
        "num_warmup_steps",
        "num_training_steps",
        "num_cycles",
        "last_epoch",
        "min_lr",
        "min_lr_rate",
        "warmup_lr_rate",
    ];
    let reader = Reader::new(class, arguments, &known)?;
    let share = WithRate { law: MinLr::read(&reader)?, rate: reader.maybe("warmup_lr_rate")? };
    shared(class, &reader, share)
}

impl Share for WithRate {
    fn at(&self, n: f64, default_lr: f64) -> Result<f64, Fault> {
        let warmup = self.law.warmup;
        match self.rate {
            _ if n >= warmup => self.law.cosine(progress(n + 1.0, warmup, self.law.total), default_lr),
            None => Ok((n + 1.0) / warmup.max(1.0)),
            Some(rate) => Ok(rate + (1.0 - rate) * n / (warmup - 1.0).max(1.0)),
        }
    }
}

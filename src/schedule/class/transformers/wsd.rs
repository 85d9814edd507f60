//! Warm-up, a stable phase, a decay.

use super::super::python::root;
use super::super::reader::Reader;
use super::{Arguments, Built, Fault, Share, not_negative, shared};
use std::f64::consts::PI;

/// Both ends are f(1 − r) + r with f linear, cosine or 1-sqrt, so that the warm-up starts at r; after the decay r.
/// `transformers.get_wsd_schedule`.
///
/// The default stable phase is the rest of the run; if that is negative, the decay starts in the middle of its curve.
#[derive(Debug)]
struct Wsd {
    warmup: f64,
    stable: f64,
    decay: f64,
    warmup_type: &'static str,
    decay_type: &'static str,
    lowest: f64,
    cycles: f64,
}

const ARGUMENTS: &[&str] = &[
    "num_warmup_steps",
    "num_decay_steps",
    "num_training_steps",
    "num_stable_steps",
    "warmup_type",
    "decay_type",
    "min_lr_ratio",
    "num_cycles",
    "last_epoch",
];

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "get_wsd_schedule";
    let reader = Reader::new(class, arguments, ARGUMENTS)?;
    let (warmup, decay) = (reader.required("num_warmup_steps")?, reader.required("num_decay_steps")?);
    let stable = match (reader.maybe("num_stable_steps")?, reader.maybe("num_training_steps")?) {
        (Some(stable), _) => stable,
        (None, Some(total)) => total - warmup - decay,
        (None, None) => return Err(reader.refused("it needs num_training_steps or num_stable_steps")),
    };
    let types = ["linear", "cosine", "1-sqrt"];
    let share = Wsd {
        warmup,
        stable,
        decay,
        warmup_type: reader.word("warmup_type", "linear", &types)?,
        decay_type: reader.word("decay_type", "cosine", &types)?,
        lowest: reader.number("min_lr_ratio", 0.0)?,
        cycles: reader.number("num_cycles", 0.5)?,
    };
    shared(class, &reader, share)
}

impl Wsd {
    fn up(&self, progress: f64) -> Result<f64, Fault> {
        Ok(match self.warmup_type {
            "linear" => progress,
            "cosine" => 0.5 * (1.0 - (PI * progress).cos()),
            _ => 1.0 - root(1.0 - progress)?,
        })
    }

    fn down(&self, progress: f64) -> Result<f64, Fault> {
        Ok(match self.decay_type {
            "linear" => 1.0 - progress,
            "cosine" => 0.5 * (1.0 + (PI * self.cycles * 2.0 * progress).cos()),
            _ => 1.0 - root(progress)?,
        })
    }

    fn above_lowest(&self, share: f64) -> Result<f64, Fault> {
        not_negative(share * (1.0 - self.lowest) + self.lowest)
    }
}

impl Share for Wsd {
    fn at(&self, n: f64, _default_lr: f64) -> Result<f64, Fault> {
        let start = self.warmup + self.stable;
        if n < self.warmup {
            self.above_lowest(self.up(n / self.warmup.max(1.0))?)
        } else if n < start {
            Ok(1.0)
        } else if n < start + self.decay {
            self.above_lowest(self.down((n - start) / self.decay.max(1.0))?)
        } else {
            Ok(self.lowest)
        }
    }
}

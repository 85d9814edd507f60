//! Warm-up, a stable phase, a decay.

use super::super::python::{finite, power, root};
use super::super::reader::Reader;
use super::{Arguments, Built, Curve, Error, Fault, Warmup, boxed, reader};
use std::f64::consts::PI;

/// lo + (max(base · stable(t), lo) − lo) · decay(share of the decay), after a warm-up that is always a prefix.
/// `timm.scheduler.WSDLRScheduler`, after Hu et al. 2024 (arXiv 2404.06395) and Hägele et al. 2024 (arXiv 2405.18392).
#[derive(Debug)]
struct Wsd {
    t_initial: f64,
    decay_t: f64,
    lr_min: f64,
    /// Of (1 + t / timescale): none is a constant.
    stable: Option<(f64, f64)>,
    decay_fn: &'static str,
    decay_power: f64,
    decay_ratio: f64,
}

const ARGUMENTS: &[&str] = &[
    "t_initial",
    "decay_t",
    "lr_min",
    "stable_fn",
    "stable_timescale",
    "stable_power",
    "decay_fn",
    "decay_power",
    "decay_ratio",
];

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "WSDLRScheduler";
    let reader = reader(class, arguments, ARGUMENTS)?;
    let warmup = Warmup::read(class, &reader, true)?;
    let curve = Wsd {
        t_initial: reader.required("t_initial")?,
        decay_t: reader.required("decay_t")?,
        lr_min: reader.number("lr_min", 0.0)?,
        stable: stable(&reader, &warmup)?,
        decay_fn: reader.word("decay_fn", "1-sqrt", &["linear", "1-sqrt", "cosine", "power", "exp"])?,
        decay_power: reader.number("decay_power", 0.5)?,
        decay_ratio: reader.number("decay_ratio", 0.1)?,
    };
    check(&reader, &curve)?;
    boxed(warmup, curve)
}

fn stable(reader: &Reader, warmup: &Warmup) -> Result<Option<(f64, f64)>, Error> {
    let power = reader.number("stable_power", 0.5)?;
    if power <= 0.0 {
        return Err(reader.bad("stable_power", "greater than 0"));
    }
    let power = match reader.word("stable_fn", "constant", &["constant", "rsqrt", "power"])? {
        "constant" => return Ok(None),
        "rsqrt" => 0.5,
        _ => power,
    };
    let timescale = reader.maybe("stable_timescale")?.unwrap_or(warmup.steps);
    if timescale <= 0.0 {
        return Err(reader.refused("stable_fn needs a stable_timescale greater than 0 (by default warmup_t)"));
    }
    Ok(Some((timescale, power)))
}

fn check(reader: &Reader, curve: &Wsd) -> Result<(), Error> {
    let rules = [
        (curve.t_initial <= 0.0, "t_initial", "greater than 0"),
        (!(curve.decay_t > 0.0 && curve.decay_t <= curve.t_initial), "decay_t", "more than 0 and at most t_initial"),
        (curve.lr_min < 0.0, "lr_min", "0 or more"),
        (!(curve.decay_ratio > 0.0 && curve.decay_ratio < 1.0), "decay_ratio", "between 0 and 1"),
        (curve.decay_power <= 0.0, "decay_power", "greater than 0"),
    ];
    let broken = rules.into_iter().find(|(broken, ..)| *broken);
    broken.map_or(Ok(()), |(_, argument, allowed)| Err(reader.bad(argument, allowed)))
}

impl Wsd {
    /// From 1 to 0.
    fn decay(&self, share: f64) -> Result<f64, Fault> {
        Ok(match self.decay_fn {
            "linear" => 1.0 - share,
            "1-sqrt" => 1.0 - root(share)?,
            "cosine" => 0.5 * (1.0 + (PI * share).cos()),
            "power" => 1.0 - power(share, self.decay_power)?,
            _ => (power(self.decay_ratio, share)? - self.decay_ratio) / (1.0 - self.decay_ratio),
        })
    }
}

impl Curve for Wsd {
    fn at(&self, base: f64, t: f64) -> Result<f64, Fault> {
        let factor = match self.stable {
            None => 1.0,
            Some((timescale, exponent)) => power(1.0 + t / timescale, -exponent)?,
        };
        let stable = finite(base * factor)?.max(self.lr_min);
        let decaying = t - (self.t_initial - self.decay_t);
        if decaying <= 0.0 {
            return Ok(stable);
        }
        Ok(self.lr_min + (stable - self.lr_min) * self.decay((decaying / self.decay_t).min(1.0))?)
    }

    fn length(&self) -> Option<f64> {
        Some(self.t_initial)
    }
}

//! Cosine cycles with k-decay.

use super::cycles::{self, Cycles, share};
use super::{Arguments, Built, Curve, Fault, Warmup, boxed, reader};
use std::f64::consts::PI;

/// lo + (hi − lo)(1 + cos(π t^k / T^k)) / 2. `timm.scheduler.CosineLRScheduler`, after Loshchilov & Hutter 2017
/// (arXiv 1608.03983) and Zhang & Li 2020 (arXiv 2004.05909). Without prefix the rate jumps down at the warm-up's end.
#[derive(Debug)]
struct Cosine {
    cycles: Cycles,
    k_decay: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "CosineLRScheduler";
    let reader = reader(class, arguments, &[&cycles::ARGUMENTS[..], &["k_decay"]].concat())?;
    let curve = Cosine { cycles: Cycles::read(&reader)?, k_decay: reader.number("k_decay", 1.0)? };
    boxed(Warmup::read(class, &reader, reader.truth("warmup_prefix", false)?)?, curve)
}

impl Curve for Cosine {
    fn at(&self, base: f64, t: f64) -> Result<f64, Fault> {
        let low = self.cycles.lr_min;
        let Some(place) = self.cycles.place(base, t)? else { return Ok(low) };
        Ok(low + 0.5 * (place.highest - low) * (1.0 + (PI * share(&place, self.k_decay)?).cos()))
    }

    fn length(&self) -> Option<f64> {
        Some(self.cycles.length())
    }
}

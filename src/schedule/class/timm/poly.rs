//! Polynomial cycles with k-decay.

use super::super::python::power;
use super::cycles::{self, Cycles, share};
use super::{Arguments, Built, Curve, Fault, Warmup, boxed, reader};

/// lo + (hi − lo)(1 − t^k / T^k)^power. `timm.scheduler.PolyLRScheduler`, k-decay after Zhang & Li 2020
/// (arXiv 2004.05909).
#[derive(Debug)]
struct Poly {
    cycles: Cycles,
    power: f64,
    k_decay: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "PolyLRScheduler";
    let reader = reader(class, arguments, &[&cycles::ARGUMENTS[..], &["power", "k_decay"]].concat())?;
    let curve = Poly {
        cycles: Cycles::read(&reader)?,
        power: reader.number("power", 0.5)?,
        k_decay: reader.number("k_decay", 1.0)?,
    };
    boxed(Warmup::read(class, &reader, reader.truth("warmup_prefix", false)?)?, curve)
}

impl Curve for Poly {
    fn at(&self, base: f64, t: f64) -> Result<f64, Fault> {
        let low = self.cycles.lr_min;
        let Some(place) = self.cycles.place(base, t)? else { return Ok(low) };
        Ok(low + (place.highest - low) * power(1.0 - share(&place, self.k_decay)?, self.power)?)
    }

    fn length(&self) -> Option<f64> {
        Some(self.cycles.length())
    }
}

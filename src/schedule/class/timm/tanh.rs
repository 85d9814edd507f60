//! Cycles of the hyperbolic tangent.

use super::super::reader::Reader;
use super::cycles::{self, Cycles};
use super::{Arguments, Built, Curve, Fault, Warmup, boxed, reader};

/// lo + (hi − lo)(1 − tanh(lb (1 − r) + ub r)) / 2, r = t / T. `timm.scheduler.TanhLRScheduler`, after Hsueh et al. 2018
/// (arXiv 1806.01593). Without prefix the warm-up goes to the curve's value at its end, not to the base value.
#[derive(Debug)]
struct Tanh {
    cycles: Cycles,
    lb: f64,
    ub: f64,
}

pub(super) fn make(arguments: &Arguments) -> Built {
    let class = "TanhLRScheduler";
    let reader = reader(class, arguments, &[&cycles::ARGUMENTS[..], &["lb", "ub"]].concat())?;
    let curve = Tanh { cycles: Cycles::read(&reader)?, lb: reader.number("lb", -7.0)?, ub: reader.number("ub", 3.0)? };
    let warmup = Warmup::read(class, &reader, reader.truth("warmup_prefix", false)?)?;
    check(&reader, &curve, &warmup)?;
    boxed(warmup, curve)
}

/// What only this class asserts.
fn check(reader: &Reader, curve: &Tanh, warmup: &Warmup) -> Result<(), super::Error> {
    let rules = [
        (curve.lb < curve.ub, "lb", "less than ub"),
        (curve.cycles.limit() >= 0.0, "cycle_limit", "0 or more"),
        (warmup.steps >= 0.0, "warmup_t", "0 or more"),
        (warmup.init >= 0.0, "warmup_lr_init", "0 or more"),
    ];
    let broken = rules.into_iter().find(|(holds, ..)| !holds);
    broken.map_or(Ok(()), |(_, argument, allowed)| Err(reader.bad(argument, allowed)))
}

impl Curve for Tanh {
    fn at(&self, base: f64, t: f64) -> Result<f64, Fault> {
        let low = self.cycles.lr_min;
        let Some(place) = self.cycles.place(base, t)? else { return Ok(low) };
        let share = place.current / place.length;
        Ok(low + 0.5 * (place.highest - low) * (1.0 - (self.lb * (1.0 - share) + self.ub * share).tanh()))
    }

    fn is_target(&self) -> bool {
        true
    }

    fn length(&self) -> Option<f64> {
        Some(self.cycles.length())
    }
}

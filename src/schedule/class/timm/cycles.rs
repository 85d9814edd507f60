//! Cycles of one length, or each longer by a factor.

use super::super::python::{divide, floor_divide, power};
use super::super::reader::Reader;
use super::super::{Error, Fault};

/// Cycle i is t_initial · cycle_mul^i long and starts from base · cycle_decay^i; after cycle_limit of them lr_min holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cycles {
    t_initial: f64,
    pub(super) lr_min: f64,
    mul: f64,
    decay: f64,
    limit: f64,
}

/// A place in a cycle.
pub(super) struct Place {
    /// Steps since the cycle began.
    pub(super) current: f64,
    /// Its length.
    pub(super) length: f64,
    /// The value that it starts from.
    pub(super) highest: f64,
}

pub(super) const ARGUMENTS: [&str; 6] =
    ["t_initial", "lr_min", "cycle_mul", "cycle_decay", "cycle_limit", "warmup_prefix"];

impl Cycles {
    pub(super) fn read(reader: &Reader) -> Result<Cycles, Error> {
        let cycles = Cycles {
            t_initial: reader.required("t_initial")?,
            lr_min: reader.number("lr_min", 0.0)?,
            mul: reader.number("cycle_mul", 1.0)?,
            decay: reader.number("cycle_decay", 1.0)?,
            limit: reader.number("cycle_limit", 1.0)?,
        };
        if cycles.t_initial.is_nan() || cycles.t_initial <= 0.0 {
            return Err(reader.bad("t_initial", "greater than 0"));
        }
        if cycles.lr_min.is_nan() || cycles.lr_min < 0.0 {
            return Err(reader.bad("lr_min", "0 or more"));
        }
        Ok(cycles)
    }

    pub(super) fn limit(&self) -> f64 {
        self.limit
    }

    /// The place at t; `None` after the last cycle. With cycle_mul the cycle is found by a logarithm, whose rounding
    /// may take the neighbour at a border, as in the reference.
    pub(super) fn place(&self, base: f64, t: f64) -> Result<Option<Place>, Fault> {
        let (cycle, current, length) = if self.mul == 1.0 {
            let cycle = floor_divide(t, self.t_initial)?;
            (cycle, t - self.t_initial * cycle, self.t_initial)
        } else {
            let grown = 1.0 - t / self.t_initial * (1.0 - self.mul);
            if grown <= 0.0 || self.mul <= 0.0 {
                return Err(Fault::new(
                    "no cycle of a shrinking length reaches this step (the logarithm has no value)",
                ));
            }
            let cycle = divide(grown.ln(), self.mul.ln())?.floor();
            let scale = power(self.mul, cycle)?;
            (cycle, t - (1.0 - scale) / (1.0 - self.mul) * self.t_initial, scale * self.t_initial)
        };
        if cycle >= self.limit {
            return Ok(None);
        }
        Ok(Some(Place { current, length, highest: base * power(self.decay, cycle)? }))
    }

    /// Steps of all cycles.
    pub(super) fn length(&self) -> f64 {
        let cycles = if self.limit == 0.0 { 1.0 } else { self.limit.max(1.0) };
        if self.mul == 1.0 {
            return self.t_initial * cycles;
        }
        (-self.t_initial * (self.mul.powf(cycles) - 1.0) / (1.0 - self.mul)).floor()
    }
}

/// current^k / length^k.
pub(super) fn share(place: &Place, k: f64) -> Result<f64, Fault> {
    divide(power(place.current, k)?, power(place.length, k)?)
}

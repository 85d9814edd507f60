//! Cosines that start again.

use super::level::MIN;
use super::shape::{at_least_one, cosine_fall, mix, positive, share};
use super::words::{Words, build};
use super::{Law, Level};
use crate::schedule::Error;
use crate::schedule::file::length::Keys;

const NAME: &str = "cosine_restarts";

const CYCLE: Keys = ["cycle_steps", "cycle_epochs", "cycle_fraction"];

/// As files say it.
pub(super) const WORDS: Words =
    Words::new(NAME, &[&CYCLE, &["cycle_mult", "cycle_decay", "cycle_limit"], &MIN, &["k_decay"]], |file| {
        let cycle = file.required_length(CYCLE)?;
        let multiplier = file.section.number("cycle_mult", 1.0)?;
        let decay = file.section.number("cycle_decay", 1.0)?;
        let limit = file.section.count("cycle_limit")?;
        let (min, k_decay) = (file.min(0.0)?, file.section.number("k_decay", 1.0)?);
        build(move |over| {
            let law = CosineRestarts::new(over.steps(cycle)?, min)?.multiplier(multiplier)?.decay(decay)?;
            let law = law.k_decay(k_decay)?;
            limit.map_or(Ok(law), |limit| law.limit(limit))
        })
    });

/// In cycle i, of T_i = T_0 · T_mult^i steps: value = min + (peak − min)(1 + cos(π (t / T_i)^k)) / 2, where t counts from the
/// cycle's start and peak = max(min, base · decay^i). After `limit` cycles min holds.
///
/// Loshchilov & Hutter 2017, "SGDR" (arXiv 1608.03983), equation 5. The cycle is found by logarithm and then checked
/// against its borders, so that rounding never picks a neighbour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineRestarts {
    first: u64,
    multiplier: f64,
    decay: f64,
    limit: Option<u64>,
    min: Level,
    k_decay: f64,
}

impl CosineRestarts {
    /// Cycles of `first` steps (T_0) each, for ever.
    ///
    /// # Errors
    /// A cycle without steps, a level out of range.
    pub fn new(first: u64, min: Level) -> Result<CosineRestarts, Error> {
        let first = at_least_one(NAME, CYCLE[0], first)?;
        Ok(CosineRestarts { first, multiplier: 1.0, decay: 1.0, limit: None, min: min.min(NAME)?, k_decay: 1.0 })
    }

    /// Each cycle this many times as long as the one before (T_mult).
    ///
    /// # Errors
    /// Less than 1, or not finite.
    pub fn multiplier(self, multiplier: f64) -> Result<CosineRestarts, Error> {
        if multiplier.is_finite() && multiplier >= 1.0 {
            return Ok(CosineRestarts { multiplier, ..self });
        }
        Err(Error::bad_argument(NAME, "cycle_mult", multiplier, "a finite number that is 1 or more"))
    }

    /// Each cycle's peak this share of the one before.
    ///
    /// # Errors
    /// A share outside [0, 1].
    pub fn decay(self, decay: f64) -> Result<CosineRestarts, Error> {
        Ok(CosineRestarts { decay: share(NAME, "cycle_decay", decay)?, ..self })
    }

    /// No more cycles than this.
    ///
    /// # Errors
    /// 0.
    pub fn limit(self, limit: u64) -> Result<CosineRestarts, Error> {
        if limit >= 1 {
            return Ok(CosineRestarts { limit: Some(limit), ..self });
        }
        Err(Error::bad_argument(NAME, "cycle_limit", limit, "1 or more"))
    }

    /// k as in [`Cosine`](super::Cosine).
    ///
    /// # Errors
    /// k that is not above 0.
    pub fn k_decay(self, k_decay: f64) -> Result<CosineRestarts, Error> {
        Ok(CosineRestarts { k_decay: positive(NAME, "k_decay", k_decay)?, ..self })
    }

    /// The first step of a cycle, as a real number.
    fn start(&self, cycle: f64) -> f64 {
        let first = self.first as f64;
        if self.multiplier == 1.0 {
            return first * cycle;
        }
        first * (self.multiplier.powf(cycle) - 1.0) / (self.multiplier - 1.0)
    }

    /// Cycle and position in it, in [0, 1).
    fn place(&self, step: u64) -> (f64, f64) {
        if self.multiplier == 1.0 {
            return ((step / self.first) as f64, (step % self.first) as f64 / self.first as f64);
        }
        let at = step as f64;
        let grown = 1.0 + at / self.first as f64 * (self.multiplier - 1.0);
        let mut cycle = (grown.ln() / self.multiplier.ln()).floor().max(0.0);
        if cycle > 0.0 && self.start(cycle) > at {
            cycle -= 1.0;
        } else if self.start(cycle + 1.0) <= at {
            cycle += 1.0;
        }
        let start = self.start(cycle);
        let length = self.first as f64 * self.multiplier.powf(cycle);
        (cycle, ((at - start) / length).clamp(0.0, 1.0))
    }
}

impl Law for CosineRestarts {
    fn value(&self, base: f64, step: u64) -> f64 {
        let min = self.min.of(base);
        let (cycle, part) = self.place(step);
        if self.limit.is_some_and(|limit| cycle >= limit as f64) {
            return min;
        }
        let peak = (base * self.decay.powf(cycle)).max(min);
        mix(min, peak, cosine_fall(part.powf(self.k_decay)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_again_at_the_borders() {
        let law = CosineRestarts::new(3, Level::ZERO).unwrap().multiplier(2.0).unwrap();
        for border in [0, 3, 9, 21, 45, 3 * ((1 << 40) - 1)] {
            assert_eq!(law.value(1.0, border), 1.0, "{border}");
        }
        assert!((law.value(1.0, 6) - 0.5).abs() < 1e-15 && law.value(1.0, 20) < 0.02);
    }

    #[test]
    fn decays_and_stops() {
        let law = CosineRestarts::new(4, Level::Ratio(0.1)).unwrap().decay(0.5).unwrap().limit(2).unwrap();
        assert_eq!([0, 4, 8, 9].map(|step| law.value(1.0, step)), [1.0, 0.5, 0.1, 0.1]);
        assert!((law.value(1.0, 6) - 0.3).abs() < 1e-15);
    }
}

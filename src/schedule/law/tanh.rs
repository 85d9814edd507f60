//! A hyperbolic tangent from the base value down.

use super::level::MIN;
use super::shape::{at_least_one, mix, part};
use super::words::{Words, build};
use super::{Law, Level};
use crate::schedule::Error;

const NAME: &str = "tanh";

/// As files say it.
pub(super) const WORDS: Words = Words::new(NAME, &[&["lower", "upper"], &MIN], |file| {
    let bounds = (file.section.number("lower", -6.0)?, file.section.number("upper", 3.0)?);
    let min = file.min(0.0)?;
    build(move |over| Tanh::new(over.run.steps, bounds, min))
});

/// value = min + (base − min)(1 − tanh(lower (1 − r) + upper r)) / 2 with r = step / steps, and min from `steps` on.
///
/// Hsueh, Li & Wu 2019, "Stochastic gradient descent with hyperbolic-tangent decay" (arXiv 1806.01593).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tanh {
    steps: u64,
    lower: f64,
    upper: f64,
    min: Level,
}

impl Tanh {
    /// From the base value to `min` in this many steps; the paper's bounds are −6 and 3, timm's −7 and 3.
    ///
    /// # Errors
    /// No steps, bounds that are not finite or not in order, a level out of range.
    pub fn new(steps: u64, (lower, upper): (f64, f64), min: Level) -> Result<Tanh, Error> {
        for (argument, value) in [("lower", lower), ("upper", upper)] {
            if !value.is_finite() {
                return Err(Error::bad_argument(NAME, argument, value, "a finite number"));
            }
        }
        if lower >= upper {
            return Err(Error::bad_argument(NAME, "lower", lower, format!("below upper = {upper}")));
        }
        Ok(Tanh { steps: at_least_one(NAME, "steps", steps)?, lower, upper, min: min.min(NAME)? })
    }
}

impl Law for Tanh {
    fn value(&self, base: f64, step: u64) -> f64 {
        let min = self.min.of(base);
        if step >= self.steps {
            return min;
        }
        mix(min, base, 0.5 * (1.0 - mix(self.lower, self.upper, part(step, self.steps)).tanh()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_half_where_the_argument_is_zero() {
        let law = Tanh::new(10, (-7.0, 3.0), Level::ZERO).unwrap();
        assert!((law.value(1.0, 7) - 0.5).abs() < 1e-12 && law.value(1.0, 0) > 0.999_999);
        assert_eq!(law.value(1.0, 10), 0.0);
        assert!(Tanh::new(10, (3.0, 3.0), Level::ZERO).is_err());
    }
}

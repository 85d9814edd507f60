//! A power of the share of the run that is left.

use super::level::MIN;
use super::shape::{at_least_one, mix, part, positive};
use super::words::{Words, build};
use super::{Law, Level};
use crate::schedule::Error;

const NAME: &str = "polynomial";

/// As files say it.
pub(super) const WORDS: Words = Words::new(NAME, &[&["power"], &MIN], |file| {
    let (power, min) = (file.section.number("power", 1.0)?, file.min(0.0)?);
    build(move |over| Polynomial::new(over.run.steps, power, min))
});

/// value = min + (base − min)(1 − step / steps)^power, and min from `steps` on.
///
/// Liu, Rabinovich & Berg 2015, "ParseNet" (arXiv 1506.04579), section 3.3: the "poly" law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Polynomial {
    steps: u64,
    power: f64,
    min: Level,
}

impl Polynomial {
    /// From the base value to `min`.
    ///
    /// # Errors
    /// No steps, a power that is not above 0, a level out of range.
    pub fn new(steps: u64, power: f64, min: Level) -> Result<Polynomial, Error> {
        Ok(Polynomial {
            steps: at_least_one(NAME, "steps", steps)?,
            power: positive(NAME, "power", power)?,
            min: min.min(NAME)?,
        })
    }
}

impl Law for Polynomial {
    fn value(&self, base: f64, step: u64) -> f64 {
        mix(self.min.of(base), base, (1.0 - part(step, self.steps)).powf(self.power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_quarter_in_the_middle_of_a_square() {
        let law = Polynomial::new(10, 2.0, Level::ZERO).unwrap();
        assert_eq!([0, 5, 10, 11].map(|step| law.value(4.0, step)), [4.0, 1.0, 0.0, 0.0]);
        assert!(Polynomial::new(10, 0.0, Level::ZERO).is_err());
    }
}

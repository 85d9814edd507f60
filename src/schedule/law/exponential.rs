//! A constant factor per step, or per so many steps.

use super::Law;
use super::shape::{at_least_one, factor, scaled};
use super::words::{EVERY, Words, build};
use crate::schedule::Error;
use crate::schedule::file::length::{Length, Unit};

const NAME: &str = "exponential";

/// As files say it.
pub(super) const WORDS: Words = Words::new(NAME, &[&["gamma"], &EVERY], |file| {
    let gamma = file.required("gamma")?;
    let every = match file.length(EVERY)? {
        Some(every) => every,
        None => Length { keys: EVERY, unit: Unit::Steps(file.section.say(EVERY[0], 1)) },
    };
    build(move |over| Exponential::new(gamma, over.steps(every)?))
});

/// value = base · gamma^(step / every), smooth: with `every` the steps of an epoch, gamma is the factor of an epoch.
///
/// `torch.optim.lr_scheduler.ExponentialLR` is the case `every` = 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponential {
    gamma: f64,
    every: u64,
}

impl Exponential {
    /// The factor `gamma` every `every` steps.
    ///
    /// # Errors
    /// A factor that is negative or not a number, `every` = 0.
    pub fn new(gamma: f64, every: u64) -> Result<Exponential, Error> {
        Ok(Exponential { gamma: factor(NAME, "gamma", gamma)?, every: at_least_one(NAME, EVERY[0], every)? })
    }
}

impl Law for Exponential {
    fn value(&self, base: f64, step: u64) -> f64 {
        scaled(base, self.gamma.powf(step as f64 / self.every as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_gamma_after_every() {
        let law = Exponential::new(0.25, 2).unwrap();
        assert_eq!([0, 1, 2, 4].map(|step| law.value(1.0, step)), [1.0, 0.5, 0.25, 0.0625]);
        let grows = Exponential::new(1e9, 1).unwrap();
        assert_eq!((grows.value(0.0, 1 << 60), grows.value(1.0, 1 << 60)), (0.0, f64::MAX));
    }
}

//! A factor at regular steps.

use super::level::MIN;
use super::shape::{at_least_one, factor, scaled};
use super::words::{EVERY, Words, build};
use super::{Law, Level};
use crate::schedule::Error;

const NAME: &str = "step";

/// As files say it.
pub(super) const WORDS: Words = Words::new(NAME, &[&["gamma"], &EVERY, &MIN], |file| {
    let gamma = file.section.number("gamma", 0.1)?;
    let (every, min) = (file.required_length(EVERY)?, file.min(0.0)?);
    build(move |over| Step::new(gamma, over.steps(every)?, min))
});

/// value = base · gamma^⌊step / every⌋, but not below min.
///
/// He et al. 2016, "Deep residual learning" (arXiv 1512.03385), section 3.4, in its regular form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    gamma: f64,
    every: u64,
    min: Level,
}

impl Step {
    /// The factor `gamma` at every multiple of `every`.
    ///
    /// # Errors
    /// A factor that is negative or not a number, `every` = 0, a level out of range.
    pub fn new(gamma: f64, every: u64, min: Level) -> Result<Step, Error> {
        Ok(Step {
            gamma: factor(NAME, "gamma", gamma)?,
            every: at_least_one(NAME, EVERY[0], every)?,
            min: min.min(NAME)?,
        })
    }
}

impl Law for Step {
    fn value(&self, base: f64, step: u64) -> f64 {
        scaled(base, self.gamma.powf((step / self.every) as f64)).max(self.min.of(base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_at_multiples() {
        let law = Step::new(0.5, 3, Level::Ratio(0.2)).unwrap();
        assert_eq!([0, 2, 3, 6, 9].map(|step| law.value(1.0, step)), [1.0, 1.0, 0.5, 0.25, 0.2]);
    }
}

//! A straight line between two shares of the base value.

use super::level::LevelKeys;
use super::shape::{at_least_one, mix, part};
use super::words::{Words, build};
use super::{Law, Level};
use crate::schedule::Error;

const NAME: &str = "linear";

const START: LevelKeys = ["start", "start_ratio"];
const END: LevelKeys = ["end", "end_ratio"];

/// As files say it.
pub(super) const WORDS: Words = Words::new(NAME, &[&START, &END], |file| {
    let (start, end) = (file.level(START, 1.0)?, file.level(END, 0.0)?);
    build(move |over| Linear::between(over.run.steps, start, end))
});

/// value = start + (end − start) step / steps, and end from `steps` on.
///
/// By default from the base value to 0, the decay of Devlin et al. 2019, "BERT" (arXiv 1810.04805), section A.2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    steps: u64,
    start: Level,
    end: Level,
}

impl Linear {
    /// From the base value to 0 in this many steps.
    ///
    /// # Errors
    /// No steps.
    pub fn new(steps: u64) -> Result<Linear, Error> {
        Linear::between(steps, Level::BASE, Level::ZERO)
    }

    /// From `start` to `end`.
    ///
    /// # Errors
    /// No steps, a level out of range.
    pub fn between(steps: u64, start: Level, end: Level) -> Result<Linear, Error> {
        Ok(Linear {
            steps: at_least_one(NAME, "steps", steps)?,
            start: start.checked(NAME, START)?,
            end: end.checked(NAME, END)?,
        })
    }
}

impl Law for Linear {
    fn value(&self, base: f64, step: u64) -> f64 {
        mix(self.start.of(base), self.end.of(base), part(step, self.steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_half_way_in_the_middle() {
        let law = Linear::new(10).unwrap();
        assert_eq!([0, 5, 10, 99].map(|step| law.value(2.0, step)), [2.0, 1.0, 0.0, 0.0]);
        let law = Linear::between(4, Level::Ratio(0.5), Level::BASE).unwrap();
        assert_eq!([0, 2, 4, 5].map(|step| law.value(1.0, step)), [0.5, 0.75, 1.0, 1.0]);
    }
}

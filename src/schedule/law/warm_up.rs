//! A rise before another law.

use super::level::LevelKeys;
use super::shape::{at_least_one, cosine_fall, mix, part};
use super::{Law, Level};
use crate::schedule::Error;
use crate::schedule::file::length::Keys;

/// How files say its length, and the level that it starts at.
pub(in crate::schedule) const WARMUP: Keys = ["warmup_steps", "warmup_epochs", "warmup_fraction"];
pub(in crate::schedule) const WARMUP_START: LevelKeys = ["warmup_start", "warmup_start_ratio"];

/// The curve of a rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rise {
    /// A straight line.
    Linear,
    /// The start's value all along.
    Constant,
    /// Half a cosine.
    Cosine,
}

/// A rise from `start` at step 0 to the top at step `steps`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    rise: Rise,
    steps: u64,
    start: Level,
}

impl Ramp {
    /// A rise of this many steps.
    ///
    /// # Errors
    /// No steps, a level out of range.
    pub fn new(rise: Rise, steps: u64, start: Level) -> Result<Ramp, Error> {
        Ok(Ramp {
            rise,
            steps: at_least_one("warm-up", WARMUP[0], steps)?,
            start: start.checked("warm-up", WARMUP_START)?,
        })
    }

    /// Its steps.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The value at a step on the way to `top`; `top` from the last step on.
    pub fn value(&self, top: f64, step: u64) -> f64 {
        if step >= self.steps {
            return top;
        }
        let start = self.start.of(top);
        match self.rise {
            Rise::Constant => start,
            Rise::Linear => mix(start, top, part(step, self.steps)),
            Rise::Cosine => mix(top, start, cosine_fall(part(step, self.steps))),
        }
    }
}

/// value = the ramp's up to the value with which the main law starts, then the whole of the main law, from its step 0.
///
/// Goyal et al. 2017, "Accurate, large minibatch SGD" (arXiv 1706.02677), section 2.2. The main law is shifted, never cut.
#[derive(Clone, Debug)]
pub struct WarmUp<L> {
    ramp: Ramp,
    then: L,
}

impl<L: Law> WarmUp<L> {
    /// The ramp, then the law.
    pub fn new(ramp: Ramp, then: L) -> WarmUp<L> {
        WarmUp { ramp, then }
    }
}

impl<L: Law> Law for WarmUp<L> {
    fn value(&self, base: f64, step: u64) -> f64 {
        match step.checked_sub(self.ramp.steps) {
            Some(later) => self.then.value(base, later),
            None => self.ramp.value(self.then.value(base, 0), step),
        }
    }
}

/// value = the base before step `from`, then the whole of the law, from its step 0.
pub(in crate::schedule) struct Late<L> {
    from: u64,
    then: L,
}

impl<L: Law> Late<L> {
    pub(in crate::schedule) fn new(from: u64, then: L) -> Late<L> {
        Late { from, then }
    }
}

impl<L: Law> Law for Late<L> {
    fn value(&self, base: f64, step: u64) -> f64 {
        step.checked_sub(self.from).map_or(base, |later| self.then.value(base, later))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Constant, Cosine};
    use super::*;

    #[test]
    fn reaches_the_top_and_cuts_nothing_off() {
        let ramp = |rise, start| Ramp::new(rise, 4, start).unwrap();
        let main = Cosine::new(6, Level::ZERO).unwrap();
        let law = WarmUp::new(ramp(Rise::Linear, Level::ZERO), main);
        assert_eq!([0, 1, 3, 4].map(|step| law.value(8.0, step)), [0.0, 2.0, 6.0, 8.0]);
        assert!((4..12).all(|step| law.value(8.0, step) == main.value(8.0, step - 4)));
        let law = WarmUp::new(ramp(Rise::Constant, Level::Absolute(0.5)), Constant);
        assert_eq!([0, 3, 4].map(|step| law.value(1.0, step)), [0.5, 0.5, 1.0]);
        assert_eq!(law.value(0.25, 0), 0.25, "no group starts above its top");
        let law = WarmUp::new(ramp(Rise::Cosine, Level::Ratio(0.5)), Constant);
        assert!((law.value(1.0, 2) - 0.75).abs() < 1e-15);
    }
}

//! An end after another law.

use super::level::LevelKeys;
use super::shape::{at_least_one, cosine_fall, mix, part};
use super::{Law, Level, Rise};
use crate::schedule::Error;
use crate::schedule::file::length::Keys;

/// How files say its length, and the level that it ends at.
pub(in crate::schedule) const COOLDOWN: Keys = ["cooldown_steps", "cooldown_epochs", "cooldown_fraction"];
pub(in crate::schedule) const COOLDOWN_END: LevelKeys = ["cooldown_end", "cooldown_end_ratio"];

/// value = the main law's before step `at`; from there, in `steps` steps, from the main law's value at `at` to `end`; then
/// `end`. A constant cool-down holds the main law's value at `at` for ever and needs no end.
#[derive(Clone, Debug)]
pub struct CoolDown<L> {
    main: L,
    at: u64,
    fall: Rise,
    steps: u64,
    end: Level,
}

impl<L: Law> CoolDown<L> {
    /// The law `main` up to step `at`, then `steps` steps down to `end` (or to the law's value, if that is lower).
    ///
    /// # Errors
    /// No steps, a level out of range.
    pub fn new(main: L, at: u64, fall: Rise, steps: u64, end: Level) -> Result<CoolDown<L>, Error> {
        at_least_one("cool-down", COOLDOWN[0], steps)?;
        let end = end.checked("cool-down", COOLDOWN_END)?;
        Ok(CoolDown { main, at, fall, steps, end })
    }
}

impl<L: Law> Law for CoolDown<L> {
    fn decays(&self) -> Vec<(u64, u64)> {
        self.main.decays()
    }

    fn value(&self, base: f64, step: u64) -> f64 {
        let Some(later) = step.checked_sub(self.at) else { return self.main.value(base, step) };
        let from = self.main.value(base, self.at);
        let end = self.end.of(base).min(from);
        match self.fall {
            Rise::Constant => from,
            Rise::Linear => mix(from, end, part(later, self.steps)),
            Rise::Cosine if later >= self.steps => end,
            Rise::Cosine => mix(end, from, cosine_fall(part(later, self.steps))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Constant;
    use super::*;

    #[test]
    fn goes_on_from_where_the_main_law_is() {
        let law = |fall| CoolDown::new(Constant, 4, fall, 4, Level::Ratio(0.5)).unwrap();
        let values = |fall| [0, 4, 6, 8, 9].map(|step| law(fall).value(1.0, step));
        assert_eq!(values(Rise::Linear), [1.0, 1.0, 0.75, 0.5, 0.5]);
        assert_eq!(values(Rise::Constant), [1.0; 5]);
        assert!((law(Rise::Cosine).value(1.0, 6) - 0.75).abs() < 1e-15);
    }
}

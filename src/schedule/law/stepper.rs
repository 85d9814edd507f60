//! A law with a count, for who steps instead of asking.

use super::Law;
use serde::{Deserialize, Serialize};

/// A law and the steps made so far.
///
/// ```
/// use gradus::schedule::Stepper;
/// use gradus::schedule::law::Linear;
///
/// let mut stepper = Stepper::new(Linear::new(4)?);
/// stepper.step();
/// let saved = stepper.state();
/// let mut again = Stepper::new(Linear::new(4)?);
/// again.restore(saved);
/// assert_eq!((again.value(1.0), again.step().value(1.0)), (0.75, 0.5));
/// # Ok::<(), gradus::schedule::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stepper<L> {
    law: L,
    state: StepperState,
}

/// What a [`Stepper`] remembers: only the count, since a law has no state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StepperState {
    /// Steps made.
    pub count: u64,
}

impl<L: Law> Stepper<L> {
    /// At step 0.
    pub fn new(law: L) -> Stepper<L> {
        Stepper { law, state: StepperState::default() }
    }

    /// One step further.
    pub fn step(&mut self) -> &mut Self {
        self.state.count = self.state.count.saturating_add(1);
        self
    }

    /// The current value for a group with the base value `base`.
    pub fn value(&self, base: f64) -> f64 {
        self.law.value(base, self.state.count)
    }

    /// What to save.
    pub fn state(&self) -> StepperState {
        self.state
    }

    /// Restores a saved state.
    pub fn restore(&mut self, state: StepperState) {
        self.state = state;
    }
}

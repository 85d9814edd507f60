//! When to evaluate.

use super::section::Section;
use crate::schedule::Error;

/// When to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evaluate {
    /// After every so many epochs.
    Epochs(u64),
    /// After every so many steps, and at the end of every epoch.
    Steps(u64),
}

impl Evaluate {
    /// Whether to evaluate once so many steps are done.
    pub fn is_due(self, steps: u64, steps_per_epoch: u64) -> bool {
        let ends_epoch = steps.is_multiple_of(steps_per_epoch);
        match self {
            Evaluate::Epochs(every) => ends_epoch && (steps / steps_per_epoch).is_multiple_of(every),
            Evaluate::Steps(every) => ends_epoch || steps.is_multiple_of(every),
        }
    }

    /// After so many steps: the steps to the next point at which an evaluation may be due or an epoch ends.
    pub(in crate::schedule) fn steps_ahead(self, steps: u64, steps_per_epoch: u64) -> u64 {
        let to_next = |every: u64| every - steps % every;
        match self {
            Evaluate::Epochs(_) => to_next(steps_per_epoch),
            Evaluate::Steps(every) => to_next(steps_per_epoch).min(to_next(every)),
        }
    }

    pub(super) fn read(top: &mut Section) -> Result<Evaluate, Error> {
        let epochs = top.count("evaluate_every_epochs")?;
        let steps = top.count("evaluate_every_steps")?;
        let zero = [("evaluate_every_epochs", epochs), ("evaluate_every_steps", steps)];
        if let Some((key, _)) = zero.into_iter().find(|(_, count)| *count == Some(0)) {
            return Err(top.bad(key, "0".to_owned(), "1 or more", None));
        }
        match (epochs, steps) {
            (Some(_), Some(steps)) => Err(top.beside("evaluate_every_steps", steps, "evaluate_every_epochs")),
            (_, Some(steps)) => Ok(Evaluate::Steps(steps)),
            (epochs, None) => Ok(Evaluate::Epochs(epochs.unwrap_or(1))),
        }
    }
}

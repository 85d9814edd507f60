//! When an evaluation decides.

use super::section::Section;
use crate::schedule::Error;

/// When an evaluation decides: whether a phase or the run ends, and whether rates move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decide {
    /// Before the next step, as finetuning-scheduler has it. A trainer waits for its metrics.
    #[default]
    Exact,
    /// At the next evaluation; the last one at the end of the run. No trainer needs to wait for it.
    Lag,
}

impl Decide {
    pub(super) fn read(top: &mut Section) -> Result<Decide, Error> {
        Ok(match top.word_or_first("decide", &["exact", "lag"])? {
            "lag" => Decide::Lag,
            _ => Decide::Exact,
        })
    }
}

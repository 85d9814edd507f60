//! Which evaluation is the best, and how many checkpoints stay.

use super::direction;
use super::early_stopping::EarlyStopping;
use super::section::Section;
use crate::schedule::Error;
use crate::schedule::law::Better;

/// The section `checkpoint`: which evaluation is the best, and how many checkpoints stay.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CheckpointSpec {
    /// The metric; by default that of early stopping.
    pub monitor: String,
    /// Which of its values are better.
    pub better: Better,
    /// How many checkpoints stay, besides the best one.
    pub keep_last: u64,
}

impl Default for CheckpointSpec {
    fn default() -> CheckpointSpec {
        CheckpointSpec { monitor: "val_loss".to_owned(), better: Better::Lower, keep_last: 2 }
    }
}

impl CheckpointSpec {
    /// What is left out is early stopping's: the metric, and the direction of the same metric.
    pub(super) fn read(
        top: &mut Section,
        stopping: Option<&EarlyStopping>,
        warnings: &mut Vec<String>,
    ) -> Result<CheckpointSpec, Error> {
        let mut checkpoint = CheckpointSpec::default();
        if let Some(EarlyStopping { monitor, better, .. }) = stopping {
            (checkpoint.monitor, checkpoint.better) = (monitor.clone(), *better);
        }
        let Some(mut section) = top.maybe_section("checkpoint")? else { return Ok(checkpoint) };
        section.only(&["monitor", "mode", "keep_last"])?;
        checkpoint.monitor = section.text_or("monitor", &checkpoint.monitor)?;
        let same = stopping.filter(|stopping| stopping.monitor == checkpoint.monitor);
        let usual = same.map(|stopping| stopping.better);
        checkpoint.better = direction::read(&mut section, &checkpoint.monitor, usual, warnings)?;
        checkpoint.keep_last = section.count("keep_last")?.unwrap_or(checkpoint.keep_last);
        if checkpoint.keep_last == 0 {
            return Err(section.bad("keep_last", "0".to_owned(), "1 or more", None));
        }
        Ok(checkpoint)
    }
}

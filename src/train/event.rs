//! What the loop tells its caller.

use super::{Confusion, Error, Scores};
use crate::engine::layout::Metrics;
use crate::optim::Stats;
use crate::schedule::{Reason, WsdAt};
use std::path::PathBuf;

/// Something that happened in a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A step's report has arrived, some steps late.
    Step(Progress),
    /// How often the rows of each class were answered with each in the evaluation that is reported next.
    Confusion(Confusion),
    /// What an evaluation found on a further set; that of the test set follows.
    Also(AlsoTested),
    /// An evaluation's metrics have arrived.
    Evaluation(Evaluation),
    /// A phase has begun.
    Phase(Began),
    /// A checkpoint is about to be written, and all earlier events have been reported: write what belongs with it to
    /// disk first.
    CheckpointAhead,
    /// A checkpoint has been written, to this folder.
    Checkpoint(PathBuf),
    /// A checkpoint could not be written: those before it are there, and the run continues.
    NoCheckpoint(Error),
    /// The parameters of an evaluation that is the best so far have been written, to this file.
    Best(PathBuf),
    /// They could not be written: the file is unchanged, and the run continues.
    NoBest(Error),
}

/// A step's report.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The step that it speaks of.
    pub step: u64,
    /// The phase.
    pub phase: usize,
    /// Its learning rates, a group each, in the order of [`Optimizer::groups`](crate::optim::Optimizer::groups).
    pub lrs: Vec<f64>,
    /// Mean loss of its last micro-batch; among ranks, of all rows of the step.
    pub loss: f32,
    /// What the optimizer did.
    pub stats: Stats,
}

/// An evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// The epoch that it comes at the end of, or within, from 1.
    pub epoch: u64,
    /// Steps done.
    pub steps: u64,
    /// The phase.
    pub phase: usize,
    /// Mean loss over the epoch's batches so far, each before its update.
    pub train_loss: f64,
    /// Mean loss over the test set.
    pub val_loss: f64,
    /// What else the test tells: of classes the share of right answers and F1, of numbers the squared error and R².
    #[serde(flatten)]
    pub scores: Scores,
    /// Learning rate of the first group in the last step.
    pub lr: f64,
    /// Steps skipped so far.
    pub skipped_steps: u64,
}

/// What an evaluation found on a further set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AlsoTested {
    /// What the set is called.
    pub name: String,
    /// Steps done.
    pub steps: u64,
    /// Mean loss over the set.
    pub loss: f64,
    /// What else the test tells.
    pub scores: Scores,
}

impl AlsoTested {
    /// Its metrics by name: that of the set instead of `val`.
    pub fn metrics(&self) -> Vec<(String, f64)> {
        let named = |name: &str| format!("{}_{}", self.name, name.trim_start_matches("val_"));
        let metrics = [("val_loss", self.loss)].into_iter().chain(self.scores.iter());
        metrics.map(|(name, value)| (named(name), value)).collect()
    }
}

/// A phase that began.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Began {
    /// The phase.
    pub phase: usize,
    /// Why; `None` for phase 0.
    pub reason: Option<Reason>,
    /// Steps done when it began.
    pub steps: u64,
    /// Parameters and moments were restored from the best copy, kept after so many steps. `None` with a plan that
    /// decides at a lag, which restores them too.
    pub restored: Option<u64>,
    /// Moments began again, with a new optimizer.
    pub forgot_moments: bool,
    /// The parameters that thawed.
    pub thawed: Vec<String>,
    /// Phases that are still to come.
    pub depth_remaining: usize,
    /// The position of the run in the decays of its law, if it has any.
    pub wsd: Option<WsdAt>,
    /// Each group's name, elements and learning rate.
    pub groups: Vec<(String, usize, f64)>,
}

impl Evaluation {
    /// Its metrics by name, which a schedule may go by.
    pub fn metrics(&self) -> Vec<(&'static str, f64)> {
        [("train_loss", self.train_loss), ("val_loss", self.val_loss)].into_iter().chain(self.scores.iter()).collect()
    }

    /// The metric of this name.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// The mean loss.
pub(super) fn mean_loss(metrics: &Metrics) -> f64 {
    if metrics.rows == 0 { 0.0 } else { metrics.mean_loss() }
}

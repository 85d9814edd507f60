//! What the loop tells its caller.

use crate::engine::layout::Metrics;
use crate::optim::Stats;

/// A step's report that has arrived, some steps behind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The step that it speaks of.
    pub step: u64,
    /// Mean loss of its last micro-batch.
    pub loss: f32,
    /// What the optimizer did.
    pub stats: Stats,
}

/// An epoch and the evaluation behind it.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Epoch {
    /// Epochs done, from 1.
    pub epoch: usize,
    /// Steps done.
    pub steps: u64,
    /// Mean loss over the epoch's batches, each before its update.
    pub train_loss: f64,
    /// Mean loss over the test set.
    pub test_loss: f64,
    /// Share of the test set answered right.
    pub test_accuracy: f64,
    /// Learning rate of the first group in the epoch's last step.
    pub lr: f64,
    /// Steps skipped so far.
    pub skipped_steps: u64,
}

/// Mean loss and share of right answers.
pub(super) fn means(metrics: &Metrics) -> (f64, f64) {
    let rows = f64::from(metrics.rows.max(1));
    (f64::from(metrics.loss_sum) / rows, f64::from(metrics.correct) / rows)
}

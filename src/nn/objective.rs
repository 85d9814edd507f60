//! What a model learns.

use super::graph::{Graph, Value};

/// What the outputs of a model mean, and so its loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Objective {
    /// One class of several for each row of the logits: the softmax cross-entropy against `labels`.
    Classes,
    /// Any number of labels for each example, each there or not: the binary cross-entropy of each output against `targets`,
    /// which are from 0 to 1, and the mean over the outputs.
    Labels,
    /// Numbers: the squared error of each output against `targets`, and the mean over the outputs.
    Numbers,
}

impl Objective {
    /// Appends the loss on these logits to a graph. For every loss the batch's `labels` say which rows count.
    pub(super) fn push_loss(self, graph: &mut Graph, logits: Value) {
        let form = graph.form(logits);
        let labels = graph.words("labels", form.rows());
        if self == Objective::Classes {
            return graph.softmax_cross_entropy(logits, labels);
        }
        let targets = graph.rows("targets", form.rows(), form.width());
        match self {
            Objective::Numbers => graph.squared_error(logits, targets, labels),
            _ => graph.binary_cross_entropy(logits, targets, labels),
        }
    }
}

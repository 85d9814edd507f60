//! What a model is to learn of an example.

/// What the outputs of a model mean, and so its loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Objective {
    /// One class of several for each row of the logits: the softmax cross-entropy against `labels`.
    #[default]
    Classes,
    /// Any number of labels for each example, each there or not: the binary cross-entropy of each output against `targets`,
    /// which are from 0 to 1, and the mean over the outputs.
    Labels,
    /// Numbers: the squared error of each output against `targets`, and the mean over the outputs.
    Numbers,
}

//! What can be wrong with a model.

use crate::engine;

/// An error of the nn room.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Layer sizes that make no model.
    #[error("an MLP of sizes {sizes:?}: {reason}")]
    BadSizes {
        /// The sizes given.
        sizes: Vec<usize>,
        /// What is wrong.
        reason: &'static str,
    },
    /// A batch with more rows than the workspace has.
    #[error("a batch of {rows} rows does not fit a workspace of {most}")]
    BatchTooLarge {
        /// Rows of the batch.
        rows: usize,
        /// Rows of the workspace.
        most: usize,
    },
    /// An activation that there is not.
    #[error("activation {name:?} is not known; there are \"relu\", \"gelu\", \"gelu_new\" and \"tanh\"")]
    UnknownActivation {
        /// The name given.
        name: String,
    },
    /// The device refused.
    #[error(transparent)]
    Engine(#[from] engine::Error),
}

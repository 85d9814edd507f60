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
    /// An activation that there is not.
    #[error("activation {name:?} is not known; there are \"relu\" and \"gelu\"")]
    UnknownActivation {
        /// The name given.
        name: String,
    },
    /// The device refused.
    #[error(transparent)]
    Engine(#[from] engine::Error),
}

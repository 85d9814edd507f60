//! Models made of our own kernels: forward, loss, backward.
//!
//! A family (`models`) writes its network down as a graph of operations (`ops`); the graph is folded, walked in reverse
//! and laid out (`graph`), and gives dispatches. A model does not know how it is trained: the trainer puts the
//! dispatches into a program.
//!
//! Needs the feature `nn`.
//!
//! Invariant: this room knows `params` and `engine`; it never uses `optim`, `schedule` or `train`.

mod error;
pub mod graph;
mod init;
mod limits;
mod mixed_precision;
pub mod models;
mod objective;
pub mod ops;

pub use crate::engine::kernels::ValueStorage;
pub use error::Error;
pub use graph::{Batch, LossOptions, Pass, Workspace};
pub use mixed_precision::MixedPrecision;
pub use models::{Model, Network};
pub use objective::Objective;
pub use ops::Activation;

use crate::engine::Range;
use crate::params::{Param, Storage};

/// The place of a parameter, and its storage.
pub type Parameter = (Range, Storage);

/// Whether models read this parameter in bf16 too: a matrix whose rows are whole vec4s. Vectors (biases, and the gains of a
/// norm) are few; they are f32 always.
pub fn reads_bf16(param: &Param) -> bool {
    matches!(param.shape[..], [_, width] if width.is_multiple_of(4))
}

/// A parameter that is f32 always.
fn vector((range, stored): Parameter) -> Result<Range, Error> {
    if stored == Storage::F32 { Ok(range) } else { Err(Error::UnreadableVector { stored }) }
}

//! Models made of our own kernels: forward, loss, backward.
//!
//! A model gives dispatches, and does not know how it is trained: whoever trains it puts them into a program.
//!
//! Invariant: this room knows `params` and `engine`; it never uses `optim`, `schedule` or `train`.

pub mod attention;
mod error;
mod init;
mod limits;
mod mlp;
pub mod ops;
pub mod transformer;

pub use error::Error;
pub use mlp::{Activation, Batch, Mlp, Workspace};

use crate::engine::Range;
use crate::params::{Param, Storage};

/// Where a parameter lies, and how it is stored there.
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

//! Data sets, texts and tokens, in host memory, and how batches of them are drawn on the device.
//!
//! Invariant: plain numbers; this room never uses `engine`, `optim`, `nn` or `train`.

mod batches;
mod digits;
mod error;
mod sequences;
mod set;
mod split;
mod stream;
mod text;
mod vocabulary;

pub use batches::BatchSize;
pub use digits::digits;
pub use error::Error;
pub use sequences::{Sequence, SequenceSizes, Sequences};
pub use set::DataSet;
pub(crate) use split::split;
pub use stream::TokenStream;
pub use text::{Text, glosses, kjv};
pub use vocabulary::Vocabulary;

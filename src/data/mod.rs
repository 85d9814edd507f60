//! Data sets, texts and tokens, in host memory, and how batches of them are drawn on the device.
//!
//! Invariant: plain numbers; this room never uses `engine`, `optim`, `nn` or `train`.

mod batches;
mod digits;
mod encoding;
mod error;
mod sequences;
mod set;
mod split;
mod stream;
mod text;
mod unknown;
mod vocabulary;

pub use batches::BatchSize;
pub use digits::digits;
pub(crate) use encoding::{NotText, decoded};
pub use error::Error;
pub use sequences::{Sequence, SequenceSizes, Sequences};
pub use set::DataSet;
pub(crate) use split::{split, stratified};
pub use stream::TokenStream;
pub use text::{Text, glosses, kjv};
pub use unknown::UnknownCharacters;
pub use vocabulary::Vocabulary;

//! Data sets, texts and tokens, in host memory, and how batches of them are drawn on the device.
//!
//! Needs the feature `data`.
//!
//! Invariant: plain numbers; this room never uses `engine`, `optim`, `nn` or `train`.

mod all_cores;
mod batches;
mod characters;
mod continuation;
#[cfg(feature = "tokenizers")]
mod cuts;
mod embedded;
mod encoded;
mod encoding;
mod error;
mod picture_file;
mod pictures;
mod sequences;
mod set;
mod split;
mod stream;
mod text;
mod tokenizer;
#[cfg(feature = "tokenizers")]
mod tokenizer_file;
mod unknown;
mod vocabulary;

pub use all_cores::Told;
pub(crate) use all_cores::map as on_all_cores;
pub use batches::BatchSize;
pub(crate) use characters::BETWEEN;
pub use continuation::Continuation;
#[cfg(all(feature = "demo", feature = "pictures"))]
pub use embedded::emoji;
pub use embedded::{EMBEDDED, Embedded, LabelledPictures};
#[cfg(feature = "demo")]
pub use embedded::{digits, glosses, kjv};
pub use encoded::{Encoded, TextInput};
pub(crate) use encoding::{NotText, decoded};
pub use error::Error;
#[cfg(feature = "pictures")]
pub use picture_file::to_png;
pub use picture_file::{Fit, Interpolation, Preparation};
pub use pictures::{Augmentation, Pictures};
pub use sequences::{Columns, Sequence, SequenceSizes, Sequences};
pub use set::DataSet;
pub(crate) use split::{split, stratified};
pub use stream::TokenStream;
pub use text::Text;
pub use tokenizer::Tokenizer;
pub use unknown::UnknownCharacters;
pub use vocabulary::Vocabulary;

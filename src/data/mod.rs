//! Data sets, in host memory.
//!
//! Invariant: plain numbers; this room never uses `engine`, `optim`, `nn` or `train`.

mod digits;
mod error;
mod set;

pub use digits::digits;
pub use error::Error;
pub use set::DataSet;

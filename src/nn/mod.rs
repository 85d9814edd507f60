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

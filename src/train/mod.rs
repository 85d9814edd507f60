//! The training loop: batches, steps, evaluation and reports.
//!
//! A step is one submission: gather, forward, loss, backward and the optimizer's stages, one program after the other.
//! The host runs ahead of the device and never waits for it in a step; what comes back comes through rings.
//!
//! Invariant: no command line, no printing, no exit.

mod error;
mod metrics;
mod trainer;

pub use error::Error;
pub use metrics::{Epoch, Progress};
pub use trainer::{Config, Trainer};

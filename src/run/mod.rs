//! One file, one run: what a run file says, and the model and data that it names.
//!
//! A run file is a schedule with a model, data and settings beside it. [`RunFile`] is what it says; [`Material`] is what it
//! is about, read from disk: a task for the trainer, and what is needed to use the model afterwards.
//!
//! Invariant: it reads files, and neither trains, writes nor prints.

mod data;
mod error;
mod file;
mod idx;
mod inputs;
mod keys;
mod material;
mod model;
mod rows;
mod shapes;
mod table;

pub use data::{DataSpec, Source, TestSet};
pub use error::Error;
pub use file::{BatchRows, RunFile};
pub use inputs::Inputs;
pub use material::Material;
pub use model::{ModelKind, ModelSpec};
pub use shapes::shapes;

//! What every step will do, decided ahead of time on the host.
//!
//! A [`Spec`] is what a YAML file says. A law gives a field's value at a step as a pure function; [`rows`] evaluates
//! laws into the rows of a horizon, which go up to the device at once.
//!
//! Invariant: pure. This room never uses wgpu, `engine`, `optim`, `nn`, `train`, clocks or the file system; the YAML
//! crate is imported by one file.

mod error;
pub mod law;
mod spec;
mod table;
mod yaml;

pub use error::Error;
pub use law::Law;
pub use spec::{LawSpec, Spec};
pub use table::rows;

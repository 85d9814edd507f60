//! What every step will do, decided ahead of time on the host.
//!
//! A [`Spec`] is what a YAML file says. A law gives a field's value at a step as a pure function; [`rows`] evaluates
//! laws into the rows of a horizon, which go up to the device at once. A [`Stepper`] counts for who steps.
//!
//! Invariant: pure. This room never uses wgpu, `engine`, `optim`, `nn`, `train`, clocks or the file system; the YAML
//! crate is imported by one file.

pub mod class;
mod class_spec;
mod error;
pub mod law;
mod law_build;
mod law_keys;
mod law_levels;
mod law_spec;
mod spec;
mod stepper;
mod table;
mod yaml;

pub use error::{BadLaw, Error};
pub use law::Law;
pub use law_spec::{LawSpec, Run};
pub use spec::Spec;
pub use stepper::{Stepper, StepperState};
pub use table::{FieldLaw, checked_rows, rows};

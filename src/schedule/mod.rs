//! What every step will do, decided ahead of time on the host.
//!
//! A [`Spec`] is what a YAML file says. A law gives a field's value at a step as a pure function; [`rows`] evaluates
//! laws into the rows of a horizon, which go up to the device at once. A [`Stepper`] counts for who steps.
//!
//! Invariant: pure. This room never uses wgpu, `engine`, `optim`, `nn`, `train`, clocks or the file system; the YAML
//! crate is imported by one file.

mod check;
pub mod class;
mod class_spec;
mod cursor;
mod early_stopping;
mod error;
mod exact;
mod finetuning;
mod generate;
pub mod law;
mod law_build;
mod law_keys;
mod law_levels;
mod law_spec;
mod optimizer_spec;
mod phase_spec;
mod plan;
mod resolve;
mod spec;
mod stepper;
mod table;
mod transition;
mod written;
mod yaml;

pub use cursor::{BestAt, Cursor, PatienceAt};
pub use early_stopping::{EarlyStopping, Stop};
pub use error::{BadLaw, Error};
pub use finetuning::Finetuning;
pub use generate::{by_layer, implicit, to_yaml};
pub use law::Law;
pub use law_spec::{LawSpec, Run};
pub use optimizer_spec::OptimizerSpec;
pub use phase_spec::{NewScheduler, PhaseSpec};
pub use plan::{Epochs, Model, Phase, Plan};
pub use spec::{CheckpointSpec, Evaluate, Phases, Spec};
pub use stepper::{Stepper, StepperState};
pub use table::{FieldLaw, checked_rows, rows};
pub use transition::{Reason, Transition, Verdict};

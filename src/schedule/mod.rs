//! What every step will do, decided ahead of time on the host.
//!
//! A [`Spec`] is a parsed YAML file. A law gives a field's value at a step as a pure function; [`rows`] evaluates laws
//! into the rows of a horizon, which are uploaded at once. A [`Stepper`] counts the steps for you.
//!
//! With a model's parameters a spec becomes a [`Plan`]: which of them thaw when, and at which rates. The plan never
//! moves; a [`Cursor`] does, which is plain data that serde saves. `docs/phases.md` tells how a plan is followed.
//!
//! # A loop of your own
//!
//! Any trainer can follow a plan; it need not be ours, nor on a GPU. It asks before each step whether a phase begins,
//! takes the rows of the steps ahead, counts its steps, and hands in what an evaluation measured.
//!
//! ```
//! use gradus::params::{Group, Param, Row};
//! use gradus::schedule::{Epochs, Plan, Spec};
//! use std::collections::BTreeMap;
//!
//! /// Stands for an optimizer: which groups it has, and how many steps each parameter made.
//! #[derive(Clone)]
//! struct Optimizer {
//!     groups: Vec<Group>,
//!     steps: BTreeMap<String, u64>,
//! }
//!
//! impl Optimizer {
//!     /// A row for each group.
//!     fn step(&mut self, rows: &[Row]) {
//!         for (group, row) in self.groups.iter_mut().zip(rows) {
//!             group.row = *row;
//!             group.params.iter().for_each(|name| *self.steps.entry(name.clone()).or_default() += 1);
//!         }
//!     }
//! }
//!
//! let text = "
//! optimizer: {type: adamw, lr: 1.0e-3}
//! lr_scheduler: {class_path: torch.optim.lr_scheduler.StepLR, init_args: {step_size: 2, gamma: 0.5}, interval: epoch}
//! early_stopping: {monitor: val_loss, patience: 1}
//! phases:
//!   0: {params: [head.*]}
//!   1: {params: [encoder.1.*], lr: 5.0e-4, max_transition_epoch: 5}
//!   2: {params: [encoder.0.*, embeddings.*]}
//! ";
//! let names = ["embeddings.weight", "encoder.0.weight", "encoder.1.weight", "head.weight", "head.bias"];
//! let params: Vec<Param> = names.iter().map(|name| Param::new(*name, [8])).collect();
//! let val_losses = [1.0, 0.9, 0.95, 0.7, 0.6, 0.65, 0.5, 0.55];
//!
//! let plan = Plan::new(&Spec::parse("run.yaml", text)?, &params[..], Epochs { epochs: 8, steps_per_epoch: 10 })?;
//! let mut cursor = plan.start()?;
//! let mut optimizer = Optimizer { groups: plan.groups(&cursor)?, steps: BTreeMap::new() };
//! let mut best = optimizer.clone();
//! let mut walk = Vec::new();
//! while cursor.stop().is_none() && cursor.step() < plan.steps() {
//!     let epoch = cursor.step() / plan.steps_per_epoch();
//!     if let Some(transition) = plan.epoch_start(&mut cursor)? {
//!         if transition.restore.is_some() {
//!             optimizer = best.clone(); // and the model's parameters with it
//!         }
//!         if transition.forgets_moments {
//!             optimizer.steps.clear();
//!         }
//!         optimizer.groups = plan.groups(&cursor)?; // what is in no group stays frozen
//!     }
//!     // Here one step's; ask for hundreds at once where uploads cost.
//!     optimizer.step(&plan.rows(&cursor, 1)?);
//!     plan.step(&mut cursor)?;
//!     if plan.is_evaluated(&cursor) {
//!         let lrs: Vec<f64> = optimizer.groups.iter().map(|group| group.row.lr).collect();
//!         walk.push((epoch, cursor.depth(), lrs, optimizer.steps["head.bias"]));
//!         let verdict = plan.validation(&mut cursor, &[("val_loss", val_losses[epoch as usize])])?;
//!         if verdict.is_best && plan.restores_best() {
//!             best = optimizer.clone(); // the best so far: keep it
//!         }
//!     }
//! }
//! // Epoch, phase, each group's rate, and the steps that the head has made by its end.
//! assert_eq!(walk[0], (0, 0, vec![1e-3], 10));
//! assert_eq!(walk[2], (2, 0, vec![5e-4], 30)); // no better than epoch 1: the phase is out of patience
//! assert_eq!(walk[3], (3, 1, vec![5e-4, 5e-4], 30)); // from epoch 1's copy, of 20 steps; the rate continues
//! assert_eq!(walk[5], (5, 2, vec![2.5e-4, 2.5e-4, 1e-5], 50)); // phase 1 begins no epoch after 4
//! assert_eq!(walk.len(), 6); // epoch 5 was no better than epoch 4, in the last phase: the run ends
//! # Ok::<(), gradus::schedule::Error>(())
//! ```
//!
//! A checkpoint holds the cursor, parameters and moments; [`Plan::check`] says whether a cursor belongs to a plan, and
//! [`Plan::to_yaml`] writes the schedule that ran.
//!
//! Invariant: pure. This room never uses wgpu, `engine`, `optim`, `nn`, `train`, clocks or the file system; the YAML
//! crate is imported by one file.

pub mod class;
mod error;
mod exact;
pub(crate) mod file;
pub mod law;
pub mod lr_find;
mod plan;
mod registry;

pub use class::own::register_class;
pub use error::{BadLaw, Error};
pub use file::checkpoint::CheckpointSpec;
pub use file::decide::Decide;
pub use file::early_stopping::{EarlyStopping, Stop};
pub use file::evaluate::Evaluate;
pub use file::finetuning::Finetuning;
pub use file::generate::{by_layer, implicit, to_yaml};
pub use file::group_spec::GroupSpec;
pub use file::law_spec::LawSpec;
pub use file::length::Run;
pub use file::lr_scaling::LrScaling;
pub use file::optimizer_spec::OptimizerSpec;
pub use file::phase_spec::{NewScheduler, PhaseSpec};
pub use file::spec::{Phases, Spec};
pub use law::Law;
pub use law::own::register_law;
pub use law::stepper::{Stepper, StepperState};
pub use law::table::{FieldLaw, checked_rows, rows};
pub use plan::cursor::{BestAt, Cursor, PatienceAt};
pub use plan::decays::{DecayAt, WsdAt};
pub use plan::transition::{Reason, Transition};
pub use plan::validation::Verdict;
pub use plan::{Epochs, ModelParams, Phase, Plan};

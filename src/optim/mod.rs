//! The fused optimizer: every parameter group in one dispatch.
//!
//! [`Optimizer`] updates parameters that lie in [`Parameters`] (arenas of our own) or in a caller's buffers
//! ([`External`]). A step is at most three stages in one submission: *norm* (only where gradients are clipped by norm or
//! guarded; from squares that kernels have written, or from the gradients), *control* (one workgroup decides clip and skip and writes a record for each tensor) and *update* (one
//! dispatch for all groups). Frozen groups are not in the work list: a step never touches their memory.
//!
//! [`Storage`](crate::params::Storage) stores moments in fewer bytes, and [`ema_decay`](crate::params::Row::ema_decay) keeps a
//! moving average of the parameters beside them; both are a group's. [`Precision`] stores parameters and gradients in bf16.
//!
//! A step is put together in `optimizer/program.rs`; `stages.rs` makes its dispatches, over the chunks of `work.rs`.
//!
//! [`Best`] keeps a copy of everything that trains, to go back to; [`Forecast`] tells bytes before anything is allocated.
//!
//! Invariant: this room knows `params` and `engine`; it never uses `schedule`, `nn`, `data` or `train`.

mod arena;
mod best;
mod checkpoint;
mod clip;
mod error;
mod external;
mod factor_stage;
mod factors;
mod folds;
mod forecast;
mod gradient_clip;
mod loss_scale;
mod matrices;
mod moves;
mod newton_schulz;
mod optimizer;
mod parameters;
mod precision;
mod row_list;
mod rows;
#[doc(hidden)]
pub mod sample;
mod shard;
mod squares;
mod stages;
mod state;
mod stats;
mod tensors;
mod update;
mod work;

pub use best::Best;
pub use checkpoint::whole_state;
pub use clip::{Clip, NormOrder};
pub use error::Error;
pub use external::External;
pub use forecast::Forecast;
pub use gradient_clip::GradientClip;
pub use loss_scale::{LossScale, LossScaleState, MOST_SKIPS_IN_A_ROW};
pub use optimizer::{GroupId, Next, Optimizer, Refreeze, Selection, Settings};
pub use parameters::Parameters;
pub use precision::Precision;
pub use row_list::RowList;
pub use shard::Shard;
pub use stats::Stats;

/// Submissions that a device may have to finish before the host sleeps: enough never to starve it, few enough that what is
/// queued stays small.
pub const STEPS_AHEAD: u64 = 512;

/// The last step that there is: a step's number has 32 bits on the device, and a table may reach past it.
pub const LAST_STEP: u64 = u32::MAX as u64 - crate::engine::CLOCK_SLOTS as u64;

//! Twins of `shaders/optim`.

mod adamw_int8;
mod clip;
mod control;
mod keep;
mod norm;
mod norm_fold;
mod resize;
pub mod rule;
mod sums;
mod sums_fold;
mod swap;
mod update;

pub use adamw_int8::adamw_int8;
pub use clip::clip;
pub use control::control;
pub use keep::keep;
pub use norm::{join, norm};
pub use norm_fold::norm_fold;
pub use resize::resize;
pub use sums::sums;
pub use sums_fold::sums_fold;
pub use swap::swap;
#[cfg(feature = "cpu")]
pub(crate) use update::Stretch;
pub use update::update;

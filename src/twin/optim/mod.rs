//! Twins of `shaders/optim`.

mod adamw;
mod clip;
mod control;
mod norm;
mod sgd;

pub use adamw::adamw;
pub use clip::clip;
pub use control::control;
pub use norm::{join, norm};
pub use sgd::sgd;

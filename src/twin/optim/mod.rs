//! Twins of `shaders/optim`.

mod adamw;
mod clip;
mod control;
mod norm;

pub use adamw::adamw;
pub use clip::clip;
pub use control::control;
pub use norm::{join, norm};

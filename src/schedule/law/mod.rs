//! Laws: how a field moves from step to step. One law a file, each a pure function of the step.

mod constant;
mod cosine;

pub use constant::Constant;
pub use cosine::Cosine;

/// A law gives a field's value at a step, from the group's own base value.
pub trait Law: Send + Sync {
    /// The value at `step` (from 0) where the group's base value is `base`.
    fn value(&self, base: f64, step: u64) -> f64;
}

//! The base value, always.

use super::Law;

/// value = base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Constant;

impl Law for Constant {
    fn value(&self, base: f64, _step: u64) -> f64 {
        base
    }
}

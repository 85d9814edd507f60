//! The base value, always.

use super::Law;
use super::words::{Words, build};

const NAME: &str = "constant";

/// As files say it.
pub(super) const WORDS: Words = Words::new(NAME, &[], |_| build(|_| Ok(Constant)));

/// value = base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Constant;

impl Law for Constant {
    fn value(&self, base: f64, _step: u64) -> f64 {
        base
    }
}

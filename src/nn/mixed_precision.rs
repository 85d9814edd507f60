//! What a model's values are stored in.

use crate::engine::kernels::ValueStorage;
use crate::setters::setters;

/// What a model's values are stored in: activations and their gradients.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MixedPrecision {
    /// Their storage.
    pub values: ValueStorage,
    /// Modules that work in f32 all the same, by the names of their parameters without the last part.
    pub wide: Vec<String>,
}

impl MixedPrecision {
    /// All values stored so.
    pub const fn new(values: ValueStorage) -> MixedPrecision {
        MixedPrecision { values, wide: Vec::new() }
    }

    setters! {
        wide: Vec<String>,
    }

    /// Whether a value, or the gradient of one, is of a module that works in f32.
    pub(in crate::nn) fn is_wide(&self, label: &str) -> bool {
        let label = label.strip_prefix("d.").unwrap_or(label);
        let is_of = |module: &String| label.strip_prefix(module.as_str()).is_some_and(|rest| rest.starts_with('.'));
        self.wide.iter().any(is_of)
    }
}

impl From<ValueStorage> for MixedPrecision {
    fn from(values: ValueStorage) -> MixedPrecision {
        MixedPrecision::new(values)
    }
}

//! Values known beforehand.

use super::Law;

/// value = the `step`-th of a list, for any base; the last one holds. An empty list gives the base.
///
/// An unrolled recurrence is one of these for every group.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed(pub Vec<f64>);

impl Law for Listed {
    fn value(&self, base: f64, step: u64) -> f64 {
        let at = usize::try_from(step).ok().and_then(|step| self.0.get(step));
        at.or(self.0.last()).copied().unwrap_or(base)
    }
}

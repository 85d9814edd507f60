//! A factor at given steps.

use super::Law;
use super::shape::{factor, scaled};
use crate::schedule::Error;

/// value = base · gamma^k, k the number of milestones that are at most `step`. A milestone given twice counts twice.
///
/// He et al. 2016, "Deep residual learning" (arXiv 1512.03385), section 4.2.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiStep {
    gamma: f64,
    milestones: Vec<u64>,
}

impl MultiStep {
    /// The factor `gamma` at each milestone, in any order.
    ///
    /// # Errors
    /// A factor that is negative or no number.
    pub fn new(gamma: f64, mut milestones: Vec<u64>) -> Result<MultiStep, Error> {
        milestones.sort_unstable();
        Ok(MultiStep { gamma: factor("multi_step", "gamma", gamma)?, milestones })
    }
}

impl Law for MultiStep {
    fn value(&self, base: f64, step: u64) -> f64 {
        let passed = self.milestones.partition_point(|milestone| *milestone <= step);
        scaled(base, self.gamma.powf(passed as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_at_milestones() {
        let law = MultiStep::new(0.5, vec![7, 3, 7]).unwrap();
        assert_eq!([0, 2, 3, 6, 7, 99].map(|step| law.value(8.0, step)), [8.0, 8.0, 4.0, 4.0, 1.0, 1.0]);
    }
}

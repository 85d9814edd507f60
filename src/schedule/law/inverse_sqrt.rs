//! One over the root of the step.

use super::Law;
use super::shape::at_least_one;
use crate::schedule::Error;

/// value = base · √(timescale / (step + timescale)).
///
/// Vaswani et al. 2017, "Attention is all you need" (arXiv 1706.03762), section 5.3; with the timescale equal to the
/// warm-up it is that paper's curve after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InverseSqrt {
    timescale: u64,
}

impl InverseSqrt {
    /// Down to base / √2 after `timescale` steps.
    ///
    /// # Errors
    /// A timescale of 0.
    pub fn new(timescale: u64) -> Result<InverseSqrt, Error> {
        Ok(InverseSqrt { timescale: at_least_one("inverse_sqrt", "timescale_steps", timescale)? })
    }
}

impl Law for InverseSqrt {
    fn value(&self, base: f64, step: u64) -> f64 {
        let timescale = self.timescale as f64;
        base * (timescale / (step as f64 + timescale)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_half_after_three_timescales() {
        let law = InverseSqrt::new(100).unwrap();
        assert_eq!((law.value(1.0, 0), law.value(1.0, 300)), (1.0, 0.5));
    }
}

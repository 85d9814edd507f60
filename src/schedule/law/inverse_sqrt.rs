//! One over the root of the step.

use super::Law;
use super::shape::at_least_one;
use super::words::{Words, build};
use crate::schedule::Error;
use crate::schedule::file::length::Keys;

const NAME: &str = "inverse_sqrt";

const TIMESCALE: Keys = ["timescale_steps", "timescale_epochs", "timescale_fraction"];

/// As files say it. Without a timescale it is the warm-up's length, or 10,000.
pub(super) const WORDS: Words = Words::new(NAME, &[&TIMESCALE], |file| {
    let timescale = file.length(TIMESCALE)?;
    build(move |over| {
        let usual = over.ramp.map_or(10_000, |ramp| ramp.steps());
        InverseSqrt::new(timescale.map_or(Ok(usual), |timescale| over.steps(timescale))?)
    })
});

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
        Ok(InverseSqrt { timescale: at_least_one(NAME, TIMESCALE[0], timescale)? })
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

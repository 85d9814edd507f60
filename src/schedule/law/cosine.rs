//! Half a cosine from the base value down.

use super::level::MIN;
use super::shape::{at_least_one, cosine_fall, mix, part, positive};
use super::words::{Words, build};
use super::{Law, Level};
use crate::schedule::Error;

const NAME: &str = "cosine";

/// As files say it.
pub(super) const WORDS: Words = Words::new(NAME, &[&MIN, &["k_decay"]], |file| {
    let (min, k_decay) = (file.min(0.0)?, file.section.number("k_decay", 1.0)?);
    build(move |over| Cosine::new(over.run.steps, min)?.k_decay(k_decay))
});

/// value = min + (base − min)(1 + cos(π step^k / steps^k)) / 2, and min from `steps` on.
///
/// Loshchilov & Hutter 2017, "SGDR" (arXiv 1608.03983), equation 5, without restarts; k as in Zhang & Li 2020,
/// "k-decay" (arXiv 2004.05909): above 1 it stays high for longer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cosine {
    steps: u64,
    min: Level,
    k_decay: f64,
}

impl Cosine {
    /// From the base value to `min` in this many steps.
    ///
    /// # Errors
    /// No steps, a level out of range.
    pub fn new(steps: u64, min: Level) -> Result<Cosine, Error> {
        Ok(Cosine { steps: at_least_one(NAME, "steps", steps)?, min: min.min(NAME)?, k_decay: 1.0 })
    }

    /// The same with another k.
    ///
    /// # Errors
    /// k that is not above 0.
    pub fn k_decay(self, k_decay: f64) -> Result<Cosine, Error> {
        Ok(Cosine { k_decay: positive(NAME, "k_decay", k_decay)?, ..self })
    }
}

impl Law for Cosine {
    fn value(&self, base: f64, step: u64) -> f64 {
        let min = self.min.of(base);
        if step >= self.steps {
            return min;
        }
        let part = part(step, self.steps);
        let part = if self.k_decay == 1.0 { part } else { part.powf(self.k_decay) };
        mix(min, base, cosine_fall(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_at_the_base_and_ends_at_the_lowest() {
        let law = Cosine::new(10, Level::Ratio(0.1)).unwrap();
        assert_eq!(law.value(2.0, 0), 2.0);
        assert!((law.value(2.0, 5) - 1.1).abs() < 1e-15);
        assert_eq!((law.value(2.0, 10), law.value(2.0, 11)), (0.2, 0.2));
        assert!(Cosine::new(0, Level::ZERO).is_err());
    }

    #[test]
    fn never_rises() {
        let law = Cosine::new(100, Level::ZERO).unwrap();
        assert!((0..120).all(|step| law.value(1.0, step + 1) <= law.value(1.0, step)));
    }

    #[test]
    fn k_stays_high_for_longer() {
        let law = Cosine::new(10, Level::ZERO).unwrap().k_decay(2.0).unwrap();
        let expected = 0.5 * (1.0 + (std::f64::consts::PI * 0.25).cos());
        assert!((law.value(1.0, 5) - expected).abs() < 1e-15);
    }
}

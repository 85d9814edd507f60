//! Half a cosine from the base value down.

use super::Law;

/// value = min + (base − min)(1 + cos(π step / steps)) / 2, and min from `steps` on; min = `min_ratio` · base.
///
/// Loshchilov & Hutter 2017, "SGDR" (arXiv 1608.03983), equation 5, without restarts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cosine {
    /// Steps from the base value to the lowest.
    pub steps: u64,
    /// The lowest value, as a share of the base value.
    pub min_ratio: f64,
}

impl Law for Cosine {
    fn value(&self, base: f64, step: u64) -> f64 {
        let min = self.min_ratio * base;
        if step >= self.steps {
            return min;
        }
        let turn = std::f64::consts::PI * step as f64 / self.steps as f64;
        min + 0.5 * (base - min) * (1.0 + turn.cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_at_the_base_and_ends_at_the_lowest() {
        let law = Cosine { steps: 10, min_ratio: 0.1 };
        assert_eq!(law.value(2.0, 0), 2.0);
        assert!((law.value(2.0, 5) - 1.1).abs() < 1e-15);
        assert_eq!((law.value(2.0, 10), law.value(2.0, 11)), (0.2, 0.2));
    }

    #[test]
    fn never_rises() {
        let law = Cosine { steps: 100, min_ratio: 0.0 };
        assert!((0..120).all(|step| law.value(1.0, step + 1) <= law.value(1.0, step)));
    }
}

//! What several laws share: shapes on [0, 1] and checks of arguments.

use crate::schedule::Error;

/// From `from` at 0 to `to` at 1, exact at both ends, and never outside them: the two products may round past an end.
pub(super) fn mix(from: f64, to: f64, share: f64) -> f64 {
    between(from, to, from * (1.0 - share) + to * share)
}

/// The value, limited to two ends in any order.
pub(super) fn between(one: f64, other: f64, value: f64) -> f64 {
    let (low, high) = if one <= other { (one, other) } else { (other, one) };
    // Not `clamp`, which panics where an end is not a number.
    if value < low {
        low
    } else if value > high {
        high
    } else {
        value
    }
}

/// Half a cosine from 1 down to 0: (1 + cos πx) / 2, as the square of a cosine, which keeps its digits near the end.
pub(super) fn cosine_fall(x: f64) -> f64 {
    let half = (std::f64::consts::FRAC_PI_2 * x).cos();
    half * half
}

/// `step` of `steps`, at most 1.
pub(super) fn part(step: u64, steps: u64) -> f64 {
    if step >= steps { 1.0 } else { step as f64 / steps as f64 }
}

/// base · factor, at most the largest number: growth never makes an infinity, nor 0 · ∞ a NaN.
pub(super) fn scaled(base: f64, factor: f64) -> f64 {
    (base * factor.min(f64::MAX)).min(f64::MAX)
}

/// A number of steps that may not be 0.
pub(super) fn at_least_one(law: &'static str, argument: &'static str, steps: u64) -> Result<u64, Error> {
    if steps >= 1 {
        Ok(steps)
    } else {
        Err(Error::bad_argument(law, argument, steps, "a number of steps that is 1 or more"))
    }
}

/// A share of something.
pub(super) fn share(law: &'static str, argument: &'static str, value: f64) -> Result<f64, Error> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(Error::bad_argument(law, argument, value, "a number from 0 to 1"))
    }
}

/// A factor.
pub(super) fn factor(law: &'static str, argument: &'static str, value: f64) -> Result<f64, Error> {
    if value.is_finite() && value >= 0.0 {
        return Ok(value);
    }
    Err(Error::bad_argument(law, argument, value, "a finite number that is 0 or more"))
}

/// An exponent or a divisor.
pub(super) fn positive(law: &'static str, argument: &'static str, value: f64) -> Result<f64, Error> {
    if value.is_finite() && value > 0.0 {
        return Ok(value);
    }
    Err(Error::bad_argument(law, argument, value, "a finite number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_stays_between_its_ends() {
        for share in (0..=1000).map(|step| f64::from(step) / 1000.0) {
            assert_eq!(mix(0.1, 0.1, share), 0.1);
            assert_eq!(mix(0.3, 0.3, cosine_fall(share)), 0.3);
        }
        assert!(mix(f64::NAN, 1.0, 0.5).is_nan() && mix(1.0, f64::NAN, 0.5).is_nan());
    }
}

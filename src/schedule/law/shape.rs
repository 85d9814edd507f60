//! What several laws share: shapes on [0, 1] and checks of arguments.

use crate::schedule::Error;

/// From `from` at 0 to `to` at 1, exact at both ends, and never below 0 where both are not.
pub(super) fn mix(from: f64, to: f64, share: f64) -> f64 {
    from * (1.0 - share) + to * share
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

/// base · factor, held at the largest number there is: growth never makes an infinity, nor 0 · ∞ a NaN.
pub(super) fn scaled(base: f64, factor: f64) -> f64 {
    (base * factor.min(f64::MAX)).min(f64::MAX)
}

pub(super) fn bad(
    law: &'static str,
    argument: &'static str,
    value: impl ToString,
    allowed: impl Into<String>,
) -> Error {
    Error::BadArgument { law, argument, value: value.to_string(), allowed: allowed.into() }
}

/// A number of steps that may not be 0.
pub(super) fn at_least_one(law: &'static str, argument: &'static str, steps: u64) -> Result<u64, Error> {
    if steps >= 1 { Ok(steps) } else { Err(bad(law, argument, steps, "a number of steps that is 1 or more")) }
}

/// A share of something.
pub(super) fn share(law: &'static str, argument: &'static str, value: f64) -> Result<f64, Error> {
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(bad(law, argument, value, "a number from 0 to 1")) }
}

/// A factor.
pub(super) fn factor(law: &'static str, argument: &'static str, value: f64) -> Result<f64, Error> {
    if value.is_finite() && value >= 0.0 {
        return Ok(value);
    }
    Err(bad(law, argument, value, "a finite number that is 0 or more"))
}

/// An exponent or a divisor.
pub(super) fn positive(law: &'static str, argument: &'static str, value: f64) -> Result<f64, Error> {
    if value.is_finite() && value > 0.0 {
        return Ok(value);
    }
    Err(bad(law, argument, value, "a finite number above 0"))
}

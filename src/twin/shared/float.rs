//! Twin of `shaders/shared/float.wgsl`.

/// Clamps to ±bound; NaN stays NaN.
pub fn clamp_value(x: f32, bound: f32) -> f32 {
    if x.is_nan() { x } else { x.clamp(-bound, bound) }
}

/// The larger of two magnitudes; of a number and a NaN the NaN.
pub fn larger(a: f32, b: f32) -> f32 {
    f32::from_bits(a.abs().to_bits().max(b.abs().to_bits()))
}

/// From a to b by rate, exact at both ends.
pub fn lerp(a: f32, b: f32, rate: f32) -> f32 {
    if rate < 0.5 { a + rate * (b - a) } else { b - (1.0 - rate) * (b - a) }
}

/// 1 − eˣ for x ≤ 0.
pub fn one_minus_exp(x: f32) -> f32 {
    -f64::from(x).exp_m1() as f32
}

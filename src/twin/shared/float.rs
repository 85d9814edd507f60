//! Twin of `shaders/shared/float.wgsl`.

/// Clamps to ±bound; NaN stays NaN.
pub fn clamp_value(x: f32, bound: f32) -> f32 {
    if x.is_nan() { x } else { x.clamp(-bound, bound) }
}

/// 1 − eˣ for x ≤ 0.
pub fn one_minus_exp(x: f32) -> f32 {
    -f64::from(x).exp_m1() as f32
}

//! Twin of `shaders/shared/activation.wgsl`.

/// erf by Abramowitz & Stegun 7.1.26, |error| ≤ 1.5e-7.
pub fn erf(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * a);
    let series = t * (0.254_829_6 + t * (-0.284_496_74 + t * (1.421_413_8 + t * (-1.453_152 + t * 1.061_405_4))));
    x.signum() * (1.0 - series * (-a * a).exp())
}

fn normal_below(z: f32) -> f32 {
    0.5 * (1.0 + erf(z * std::f32::consts::FRAC_1_SQRT_2))
}

/// tanh u of gelu_new.
fn bent(z: f32) -> f32 {
    (0.797_884_6 * (z + 0.044_715 * z * z * z)).tanh()
}

fn logistic(z: f32) -> f32 {
    1.0 / (1.0 + (-z).exp())
}

/// h of z: 0 none, 1 relu, 2 gelu, 3 gelu_new, 4 tanh, 5 relu6, 6 silu.
pub fn activate(kind: u32, z: f32) -> f32 {
    match kind {
        1 if z <= 0.0 => 0.0,
        1 => z,
        2 => z * normal_below(z),
        3 => 0.5 * z * (1.0 + bent(z)),
        4 => z.tanh(),
        5 if z <= 0.0 => 0.0,
        5 if z >= 6.0 => 6.0,
        6 => z * logistic(z),
        _ => z,
    }
}

/// h′ of z.
pub fn activate_derivative(kind: u32, z: f32) -> f32 {
    match kind {
        1 if z <= 0.0 => 0.0,
        2 => normal_below(z) + z * 0.398_942_3 * (-0.5 * z * z).exp(),
        3 => {
            let t = bent(z);
            0.5 * (1.0 + t) + 0.398_942_3 * z * (1.0 + 0.134_145 * z * z) * (1.0 - t * t)
        }
        4 => 1.0 - z.tanh() * z.tanh(),
        5 if z <= 0.0 || z >= 6.0 => 0.0,
        6 => logistic(z) * (1.0 + z * (1.0 - logistic(z))),
        _ => 1.0,
    }
}

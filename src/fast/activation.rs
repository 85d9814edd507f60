//! Activations over slices: the formulas of [`twin::shared`](crate::twin::shared), without branches.

use super::exponential::exp;
use std::f32::consts::FRAC_1_SQRT_2;

/// h = activation(z), by the activation's number.
#[multiversion::multiversion(targets("x86_64+avx2"))]
pub(super) fn activate(kind: u32, z: &[f32], h: &mut [f32]) {
    match kind {
        1 => each(z, h, |z, _| if z <= 0.0 { 0.0 } else { z }),
        2 => each(z, h, |z, _| z * normal(z)[0]),
        3 => each(z, h, |z, _| 0.5 * z * (1.0 + bent(z))),
        4 => each(z, h, |z, _| tanh(z)),
        5 => each(z, h, |z, _| z.clamp(0.0, 6.0)),
        6 => each(z, h, |z, _| z * logistic(z)),
        _ => h.copy_from_slice(&z[..h.len()]),
    }
}

/// d *= activation′(z).
#[multiversion::multiversion(targets("x86_64+avx2"))]
pub(super) fn through(kind: u32, z: &[f32], d: &mut [f32]) {
    match kind {
        1 => each(z, d, |z, d| if z <= 0.0 { 0.0 * d } else { d }),
        2 => each(z, d, |z, d| {
            let [below, density] = normal(z);
            d * (below + z * density)
        }),
        3 => each(z, d, |z, d| {
            let t = bent(z);
            d * (0.5 * (1.0 + t) + 0.398_942_3 * z * (1.0 + 0.134_145 * z * z) * (1.0 - t * t))
        }),
        4 => each(z, d, |z, d| {
            let t = tanh(z);
            d * (1.0 - t * t)
        }),
        5 => each(z, d, |z, d| if z <= 0.0 || z >= 6.0 { 0.0 * d } else { d }),
        6 => each(z, d, |z, d| {
            let s = logistic(z);
            d * (s * (1.0 + z * (1.0 - s)))
        }),
        _ => {}
    }
}

#[inline(always)]
fn each(z: &[f32], slots: &mut [f32], of: impl Fn(f32, f32) -> f32) {
    for (slot, z) in slots.iter_mut().zip(z) {
        *slot = of(*z, *slot);
    }
}

/// The normal distribution below z, by the twin's series for erf, and its density at z.
#[inline(always)]
fn normal(z: f32) -> [f32; 2] {
    let a = z.abs() * FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * a);
    let series = t * (0.254_829_6 + t * (-0.284_496_74 + t * (1.421_413_8 + t * (-1.453_152 + t * 1.061_405_4))));
    let e = exp(-a * a);
    [0.5 * (1.0 + (1.0 - series * e).copysign(z)), 0.398_942_3 * e]
}

/// tanh u of gelu_new.
#[inline(always)]
fn bent(z: f32) -> f32 {
    tanh(0.797_884_6 * (z + 0.044_715 * z * z * z))
}

#[inline(always)]
fn logistic(z: f32) -> f32 {
    1.0 / (1.0 + exp(-z))
}

/// tanh by Cephes' `tanhf`: a polynomial near 0, else by e^2|x|.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let (a, s) = (x.abs(), x * x);
    let series = (((-5.704_988_7e-3 * s + 2.063_909e-2) * s - 5.373_971_6e-2) * s + 1.333_144_2e-1) * s - 3.333_328e-1;
    let far = (1.0 - 2.0 / (exp(2.0 * a) + 1.0)).copysign(x);
    if a < 0.625 { x + x * s * series } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twin::shared::{activate as plain, activate_derivative};

    #[test]
    fn they_are_near_the_twins_everywhere() {
        let z: Vec<f32> = (-12_000..=12_000).map(|step| step as f32 / 1000.0).chain([-0.0, -90.0, 90.0]).collect();
        for kind in 0..=6 {
            let (mut h, mut d) = (vec![7.0; z.len()], vec![1.0; z.len()]);
            activate(kind, &z, &mut h);
            through(kind, &z, &mut d);
            for ((z, h), d) in z.iter().zip(h).zip(d) {
                let (wanted, slope) = (plain(kind, *z), activate_derivative(kind, *z));
                assert!((h - wanted).abs() <= 4e-7 * wanted.abs().max(1.0), "{kind} of {z}: {h} for {wanted}");
                assert!((d - slope).abs() <= 1e-6, "slope of {kind} at {z}: {d} for {slope}");
            }
        }
    }

    #[test]
    fn nan_stays() {
        for kind in 0..=6 {
            let (mut h, mut d) = ([0.0], [f32::NAN]);
            activate(kind, &[f32::NAN], &mut h);
            through(kind, &[-1.0], &mut d);
            assert!(h[0].is_nan() && d[0].is_nan(), "{kind}");
        }
    }
}

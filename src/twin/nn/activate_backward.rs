//! Twin of `shaders/nn/activate_backward.wgsl`.

use crate::twin::shared::{Elements, activate_derivative};

/// dz = activation′(z) ∘ dh, added to what is there with `accumulate`.
pub fn activate_backward(z: &[f32], dh: &[f32], dz: &mut [f32], shape: &Elements, activation: u32, accumulate: bool) {
    let count = shape.quads as usize * 4;
    for ((dz, z), dh) in dz[..count].iter_mut().zip(z).zip(dh) {
        let gradient = dh * activate_derivative(activation, *z);
        *dz = if accumulate { *dz + gradient } else { gradient };
    }
}

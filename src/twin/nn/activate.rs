//! Twin of `shaders/nn/activate.wgsl`.

use crate::twin::shared::{self, Elements};

/// h = activation(z), by the activation's number.
pub fn activate(z: &[f32], h: &mut [f32], shape: &Elements, activation: u32) {
    let count = shape.quads as usize * 4;
    for (h, z) in h[..count].iter_mut().zip(z) {
        *h = shared::activate(activation, *z);
    }
}

//! Twin of `shaders/nn/add.wgsl`.

use crate::twin::shared::Elements;

/// y = x + residual.
pub fn add(x: &[f32], residual: &[f32], y: &mut [f32], shape: &Elements) {
    let count = shape.quads as usize * 4;
    for ((y, x), residual) in y[..count].iter_mut().zip(x).zip(residual) {
        *y = x + residual;
    }
}

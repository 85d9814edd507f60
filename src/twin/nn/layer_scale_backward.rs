//! Twin of `shaders/nn/layer_scale_backward.wgsl`.

use crate::twin::shared::LayerScale;

/// The gradient of the scale, added to what is there where `accumulate` is set.
pub fn layer_scale_backward(dy: &[f32], x: &[f32], dscale: &mut [f32], shape: &LayerScale, accumulate: bool) {
    for (c, slot) in dscale[..shape.width as usize].iter_mut().enumerate() {
        let places = (0..shape.rows as usize).map(|r| r * shape.stride() + c);
        let sum: f64 = places.map(|at| f64::from(dy[at]) * f64::from(x[at])).sum();
        *slot = sum as f32 + if accumulate { *slot } else { 0.0 };
    }
}

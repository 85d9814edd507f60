//! Twin of `shaders/nn/layer_scale_backward.wgsl`.

use crate::twin::shared::LayerScale;

/// The gradient of the scale, added to what is there where `accumulate` is set.
pub fn layer_scale_backward(dy: &[f32], x: &[f32], dscale: &mut [f32], shape: &LayerScale, accumulate: bool) {
    let mut sums = vec![0.0f64; shape.width as usize];
    let rows = dy.chunks_exact(shape.stride()).zip(x.chunks_exact(shape.stride()));
    for (dy, x) in rows.take(shape.rows as usize) {
        let terms = dy.iter().zip(x).map(|(dy, x)| f64::from(*dy) * f64::from(*x));
        sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
    }
    for (slot, sum) in dscale.iter_mut().zip(sums) {
        *slot = sum as f32 + if accumulate { *slot } else { 0.0 };
    }
}

//! Twin of `shaders/nn/layer_scale.wgsl`.

use crate::twin::shared::LayerScale;

/// y = x ∘ scale, column by column, and a residual added where there is one.
pub fn layer_scale(x: &[f32], scale: &[f32], y: &mut [f32], shape: &LayerScale, residual: Option<&[f32]>) {
    let (width, stride) = (shape.width as usize, shape.stride());
    for (r, row) in y.chunks_exact_mut(stride).take(shape.rows as usize).enumerate() {
        row.fill(0.0);
        for ((slot, x), scale) in row.iter_mut().zip(&x[r * stride..][..width]).zip(scale) {
            *slot = x * scale;
        }
        if let Some(residual) = residual {
            row.iter_mut().zip(&residual[r * stride..]).for_each(|(slot, residual)| *slot += residual);
        }
    }
}

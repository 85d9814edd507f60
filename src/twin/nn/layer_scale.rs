//! Twin of `shaders/nn/layer_scale.wgsl`.

use crate::twin::shared::LayerScale;

/// y = x ∘ scale, column by column, and a residual added where there is one.
pub fn layer_scale(x: &[f32], scale: &[f32], y: &mut [f32], shape: &LayerScale, residual: Option<&[f32]>) {
    let (width, stride) = (shape.width as usize, shape.stride());
    for (at, slot) in y[..shape.rows as usize * stride].iter_mut().enumerate() {
        let c = at % stride;
        let scaled = if c < width { x[at] * scale[c] } else { 0.0 };
        *slot = scaled + residual.map_or(0.0, |residual| residual[at]);
    }
}

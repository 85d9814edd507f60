//! Twin of `shaders/nn/batch_norm.wgsl`.

use crate::twin::shared::{BatchNorm, ChannelMoments};

/// y = (x − mean) rstd γ + β by each channel's moments.
pub fn batch_norm(
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    moments: &[ChannelMoments],
    y: &mut [f32],
    shape: &BatchNorm,
) {
    let (width, stride) = (shape.width as usize, shape.stride());
    for (x, y) in x.chunks(stride).zip(y.chunks_mut(stride)).take(shape.rows as usize) {
        y[width..].fill(0.0);
        for c in 0..width {
            let scale = f64::from(moments[c].rstd) * f64::from(gamma[c]);
            y[c] = ((f64::from(x[c]) - f64::from(moments[c].mean)) * scale + f64::from(beta[c])) as f32;
        }
    }
}

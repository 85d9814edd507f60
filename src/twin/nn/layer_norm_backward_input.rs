//! Twin of `shaders/nn/layer_norm_backward_input.wgsl`.

use crate::twin::shared::{LayerNorm, Moments};

/// dx = rstd (g − mean g − n mean(g n)) with g = dy γ and n the normalized row; added to what is there where
/// `accumulate` is set.
pub fn layer_norm_backward_input(
    dy: &[f32],
    x: &[f32],
    gamma: &[f32],
    moments: &[Moments],
    dx: &mut [f32],
    shape: &LayerNorm,
    accumulate: bool,
) {
    let (width, stride) = (shape.width as usize, shape.stride());
    for r in 0..shape.rows as usize {
        let (mean, rstd) = (f64::from(moments[r].mean), f64::from(moments[r].rstd));
        let n: Vec<f64> = x[r * stride..][..width].iter().map(|x| (f64::from(*x) - mean) * rstd).collect();
        let g: Vec<f64> = (0..width).map(|c| f64::from(dy[r * stride + c]) * f64::from(gamma[c])).collect();
        let mean_plain = g.iter().sum::<f64>() / width as f64;
        let mean_along = g.iter().zip(&n).map(|(g, n)| g * n).sum::<f64>() / width as f64;
        for (c, slot) in dx[r * stride..][..stride].iter_mut().enumerate() {
            let value = if c < width { (rstd * (g[c] - mean_plain - n[c] * mean_along)) as f32 } else { 0.0 };
            *slot = value + if accumulate { *slot } else { 0.0 };
        }
    }
}

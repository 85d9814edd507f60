//! Twin of `shaders/nn/layer_norm_backward.wgsl`.

use crate::twin::shared::{LayerNorm, Moments, Squares, write_squares};

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

/// dγ and dβ; added to what is there where `accumulate` is set. What is frozen is `None`.
pub fn layer_norm_backward_weight(
    dy: &[f32],
    x: &[f32],
    moments: &[Moments],
    mut dgamma: Option<&mut [f32]>,
    mut dbeta: Option<&mut [f32]>,
    shape: &LayerNorm,
    accumulate: bool,
) {
    let store = |slot: &mut f32, sum: f64| *slot = sum as f32 + if accumulate { *slot } else { 0.0 };
    for c in 0..shape.width as usize {
        let (mut gamma, mut beta) = (0.0f64, 0.0f64);
        for (r, row) in moments[..shape.rows as usize].iter().enumerate() {
            let at = r * shape.stride() + c;
            gamma += f64::from(dy[at]) * (f64::from(x[at]) - f64::from(row.mean)) * f64::from(row.rstd);
            beta += f64::from(dy[at]);
        }
        if let Some(dgamma) = &mut dgamma {
            store(&mut dgamma[c], gamma);
        }
        if let Some(dbeta) = &mut dbeta {
            store(&mut dbeta[c], beta);
        }
    }
}

/// The squares of what was written, 4 columns each: those of γ, then those of β.
pub fn layer_norm_backward_weight_squares(
    dgamma: Option<&[f32]>,
    dbeta: Option<&[f32]>,
    shape: &LayerNorm,
    squares: &mut [Squares],
) {
    for (squares, gradients) in squares.chunks_exact_mut(shape.quads as usize).zip([dgamma, dbeta]) {
        write_squares(squares, gradients.map_or(&[], |gradients| &gradients[..shape.width as usize]), |c| c / 4);
    }
}

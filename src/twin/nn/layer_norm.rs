//! Twin of `shaders/nn/layer_norm.wgsl`.

use crate::twin::shared::{LayerNorm, Moments};

/// y = (x − mean) rstd γ + β over each row; with a residual the norm is of x + residual, which goes to `sum`.
pub fn layer_norm(
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    y: &mut [f32],
    moments: &mut [Moments],
    shape: &LayerNorm,
    mut residual: Option<(&[f32], &mut [f32])>,
) {
    let (width, stride) = (shape.width as usize, shape.stride());
    for r in 0..shape.rows as usize {
        let mut row = x[r * stride..][..width].to_vec();
        if let Some((residual, sum)) = &mut residual {
            row.iter_mut().zip(&residual[r * stride..]).for_each(|(x, residual)| *x += residual);
            sum[r * stride..][..stride].fill(0.0);
            sum[r * stride..][..width].copy_from_slice(&row);
        }
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / width as f64;
        let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / width as f64;
        let rstd = 1.0 / (variance + f64::from(shape.eps)).sqrt();
        moments[r] = Moments { mean: mean as f32, rstd: rstd as f32 };
        for c in 0..stride {
            y[r * stride + c] = row.get(c).map_or(0.0, |x| {
                let normalized = (f64::from(*x) - mean) * rstd;
                (normalized * f64::from(gamma[c]) + f64::from(beta[c])) as f32
            });
        }
    }
}

//! Fast form of [`twin::nn::layer_norm`](crate::twin::nn::layer_norm).

use super::rows::{LEAST_ROWS, sum};
use crate::twin::shared::{LayerNorm, Moments};
use rayon::prelude::*;

/// y = (x − mean) rstd γ + β over each row; with a residual the norm is of x + residual, which goes to `sum`.
pub fn layer_norm(
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    y: &mut [f32],
    moments: &mut [Moments],
    shape: &LayerNorm,
    residual: Option<(&[f32], &mut [f32])>,
) {
    let (rows, width, stride) = (shape.rows as usize, shape.width as usize, shape.stride());
    let norm = |x: &[f32], y: &mut [f32], moments: &mut Moments| {
        let x = &x[..width];
        *moments = moments_of(x, shape.eps);
        let Moments { mean, rstd } = *moments;
        for (((y, x), gamma), beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
            *y = (x - mean) * rstd * gamma + beta;
        }
        y[width..].fill(0.0);
    };
    let x = x[..rows * stride].par_chunks(stride);
    let made = y[..rows * stride].par_chunks_mut(stride).zip(&mut moments[..rows]).with_min_len(LEAST_ROWS);
    match residual {
        None => x.zip(made).for_each(|(x, (y, moments))| norm(x, y, moments)),
        Some((residual, sums)) => {
            let sums = sums[..rows * stride].par_chunks_mut(stride).zip(residual.par_chunks(stride));
            x.zip(sums).zip(made).for_each(|((x, (sum, residual)), (y, moments))| {
                sum.iter_mut().zip(x.iter().zip(residual)).for_each(|(sum, (x, residual))| *sum = x + residual);
                sum[width..].fill(0.0);
                norm(sum, y, moments);
            });
        }
    }
}

fn moments_of(x: &[f32], eps: f32) -> Moments {
    let width = x.len() as f64;
    let mean = (sum(x, x, |x, _| x) / width) as f32;
    let variance = sum(x, x, |x, _| (x - mean) * (x - mean)) / width;
    Moments { mean, rstd: (variance + f64::from(eps)).sqrt().recip() as f32 }
}

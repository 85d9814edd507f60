//! Fast form of [`twin::nn::layer_norm_backward_input`](crate::twin::nn::layer_norm_backward_input).

use super::rows::{LEAST_ROWS, sum};
use crate::twin::shared::{LayerNorm, Moments};
use rayon::prelude::*;

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
    let (rows, width, stride) = (shape.rows as usize, shape.width as usize, shape.stride());
    let past = dy[..rows * stride].par_chunks(stride).zip(x[..rows * stride].par_chunks(stride)).zip(&moments[..rows]);
    let made = dx[..rows * stride].par_chunks_mut(stride).with_min_len(LEAST_ROWS);
    let scratch = || [vec![0.0; width], vec![0.0; width]];
    made.zip(past).for_each_init(scratch, |[g, n], (dx, ((dy, x), moments))| {
        for (g, (dy, gamma)) in g.iter_mut().zip(dy.iter().zip(gamma)) {
            *g = dy * gamma;
        }
        for (n, x) in n.iter_mut().zip(x) {
            *n = (x - moments.mean) * moments.rstd;
        }
        let plain = (sum(g, g, |g, _| g) / width as f64) as f32;
        let along = (sum(g, n, |g, n| g * n) / width as f64) as f32;
        for (slot, (g, n)) in dx.iter_mut().zip(g.iter().zip(n)) {
            *slot = moments.rstd * (*g - plain - *n * along) + if accumulate { *slot } else { 0.0 };
        }
        if !accumulate {
            dx[width..].fill(0.0);
        }
    });
}

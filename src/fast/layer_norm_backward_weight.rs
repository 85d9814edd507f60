//! Fast form of [`twin::nn::layer_norm_backward_weight`](crate::twin::nn::layer_norm_backward_weight).

use super::rows::{column_sums, store};
use crate::twin::shared::{LayerNorm, Moments};

/// dγ and dβ; added to what is there where `accumulate` is set. What is frozen is `None`.
pub fn layer_norm_backward_weight(
    dy: &[f32],
    x: &[f32],
    moments: &[Moments],
    dgamma: Option<&mut [f32]>,
    dbeta: Option<&mut [f32]>,
    shape: &LayerNorm,
    accumulate: bool,
) {
    let (width, stride) = (shape.width as usize, shape.stride());
    let sums = column_sums(shape.rows as usize, 2 * width, |r, sums| {
        let Moments { mean, rstd } = moments[r];
        let (gamma, beta) = sums.split_at_mut(width);
        let row = dy[r * stride..].iter().zip(&x[r * stride..]);
        for ((gamma, beta), (dy, x)) in gamma.iter_mut().zip(beta).zip(row) {
            *gamma += dy * ((x - mean) * rstd);
            *beta += dy;
        }
    });
    let (gamma, beta) = sums.split_at(width);
    for (slots, sums) in [(dgamma, gamma), (dbeta, beta)] {
        if let Some(slots) = slots {
            store(slots, sums, accumulate);
        }
    }
}

//! Fast forms of batch norm's twins: sums down columns by `rows.rs`, and rows side by side.

use super::rows::{LEAST_ROWS, column_sums, store};
use crate::twin::shared::{BatchNorm, ChannelMoments, ChannelSlopes, Running};
use rayon::prelude::*;

/// The moments of each channel of x, and what they make of the running ones if those are tracked.
pub fn batch_moments(x: &[f32], running: Option<Running<'_>>, moments: &mut [ChannelMoments], shape: &BatchNorm) {
    let (rows, width, stride) = (shape.rows as usize, shape.width as usize, shape.stride());
    let means = column_sums(rows, width, |r, sums| {
        sums.iter_mut().zip(&x[r * stride..]).for_each(|(sum, x)| *sum += x);
    });
    let means: Vec<f32> = means.iter().map(|sum| sum / rows as f32).collect();
    let squares = column_sums(rows, width, |r, sums| {
        for (sum, (x, mean)) in sums.iter_mut().zip(x[r * stride..].iter().zip(&means)) {
            *sum += (x - mean) * (x - mean);
        }
    });
    let mut running = running;
    for (c, (mean, squares)) in means.iter().zip(squares).enumerate() {
        let (mean, variance) = (f64::from(*mean), f64::from(squares) / rows as f64);
        moments[c] = shape.moments(mean, variance);
        if let Some(running) = &mut running {
            running.track(c, [mean, variance], shape);
        }
    }
}

/// y = (x − mean) rstd γ + β by each channel's moments.
pub fn batch_norm(
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    moments: &[ChannelMoments],
    y: &mut [f32],
    shape: &BatchNorm,
) {
    let (rows, width, stride) = (shape.rows as usize, shape.width as usize, shape.stride());
    let scales: Vec<f32> = moments.iter().zip(&gamma[..width]).map(|(moments, gamma)| moments.rstd * gamma).collect();
    let made = y[..rows * stride].par_chunks_mut(stride).with_min_len(LEAST_ROWS);
    made.zip(x[..rows * stride].par_chunks(stride)).for_each(|(y, x)| {
        let by_channel = scales.iter().zip(moments).zip(beta);
        for ((y, x), ((scale, moments), beta)) in y.iter_mut().zip(x).zip(by_channel) {
            *y = (x - moments.mean) * scale + beta;
        }
        y[width..].fill(0.0);
    });
}

/// dγ and dβ, added to what is there where `accumulate` is set, and the slopes of the batch. What is frozen is `None`.
#[allow(clippy::too_many_arguments, reason = "one for each binding")]
pub fn batch_norm_backward_weight(
    dy: &[f32],
    x: &[f32],
    moments: &[ChannelMoments],
    slopes: &mut [ChannelSlopes],
    dgamma: Option<&mut [f32]>,
    dbeta: Option<&mut [f32]>,
    shape: &BatchNorm,
    accumulate: bool,
) {
    let (rows, width, stride) = (shape.rows as usize, shape.width as usize, shape.stride());
    let sums = column_sums(rows, 2 * width, |r, sums| {
        let (gamma, beta) = sums.split_at_mut(width);
        let row = dy[r * stride..].iter().zip(&x[r * stride..]).zip(moments);
        for ((gamma, beta), ((dy, x), moments)) in gamma.iter_mut().zip(beta).zip(row) {
            *gamma += dy * ((x - moments.mean) * moments.rstd);
            *beta += dy;
        }
    });
    let (gamma, beta) = sums.split_at(width);
    for (slopes, (gamma, beta)) in slopes.iter_mut().zip(gamma.iter().zip(beta)) {
        *slopes = ChannelSlopes { plain: beta / rows as f32, along: gamma / rows as f32 };
    }
    for (slots, sums) in [(dgamma, gamma), (dbeta, beta)] {
        if let Some(slots) = slots {
            store(slots, sums, accumulate);
        }
    }
}

/// dx by each channel's moments, and by how they move with x: x and the slopes, where they are the batch's own. Added to what is
/// there where `accumulate` is set.
pub fn batch_norm_backward_input(
    dy: &[f32],
    of_batch: Option<(&[f32], &[ChannelSlopes])>,
    gamma: &[f32],
    moments: &[ChannelMoments],
    dx: &mut [f32],
    shape: &BatchNorm,
    accumulate: bool,
) {
    let (rows, width, stride) = (shape.rows as usize, shape.width as usize, shape.stride());
    let kept = if accumulate { 1.0 } else { 0.0 };
    let made = dx[..rows * stride].par_chunks_mut(stride).enumerate().with_min_len(LEAST_ROWS);
    made.for_each(|(r, dx)| {
        if !accumulate {
            dx.fill(0.0);
        }
        let channels = dy[r * stride..].iter().zip(&gamma[..width]).zip(moments);
        match of_batch {
            Some((x, slopes)) => {
                let moved = x[r * stride..].iter().zip(slopes);
                for ((slot, ((dy, gamma), moments)), (x, slopes)) in dx.iter_mut().zip(channels).zip(moved) {
                    let normed = (x - moments.mean) * moments.rstd;
                    let d = dy - (slopes.plain + normed * slopes.along);
                    *slot = gamma * moments.rstd * d + kept * *slot;
                }
            }
            None => {
                for (slot, ((dy, gamma), moments)) in dx.iter_mut().zip(channels) {
                    *slot = gamma * moments.rstd * dy + kept * *slot;
                }
            }
        }
    });
}

//! Twin of `shaders/nn/batch_norm_backward_weight.wgsl`.

use crate::twin::shared::{BatchNorm, ChannelMoments, ChannelSlopes, Squares, write_squares};

/// dγ and dβ, added to what is there where `accumulate` is set, and the slopes of the batch. What is frozen is `None`.
#[allow(clippy::too_many_arguments, reason = "one for each binding")]
pub fn batch_norm_backward_weight(
    dy: &[f32],
    x: &[f32],
    moments: &[ChannelMoments],
    slopes: &mut [ChannelSlopes],
    mut dgamma: Option<&mut [f32]>,
    mut dbeta: Option<&mut [f32]>,
    shape: &BatchNorm,
    accumulate: bool,
) {
    let store = |slot: &mut f32, sum: f64| *slot = sum as f32 + if accumulate { *slot } else { 0.0 };
    let rows = shape.rows as usize;
    for c in 0..shape.width as usize {
        let (mut gamma, mut beta) = (0.0f64, 0.0f64);
        for at in (0..rows).map(|r| r * shape.stride() + c) {
            let normed = (f64::from(x[at]) - f64::from(moments[c].mean)) * f64::from(moments[c].rstd);
            gamma += f64::from(dy[at]) * normed;
            beta += f64::from(dy[at]);
        }
        slopes[c] = ChannelSlopes { plain: (beta / rows as f64) as f32, along: (gamma / rows as f64) as f32 };
        if let Some(dgamma) = &mut dgamma {
            store(&mut dgamma[c], gamma);
        }
        if let Some(dbeta) = &mut dbeta {
            store(&mut dbeta[c], beta);
        }
    }
}

/// The squares of what was written, 4 channels each: those of γ, then those of β.
pub fn batch_norm_backward_weight_squares(
    dgamma: Option<&[f32]>,
    dbeta: Option<&[f32]>,
    shape: &BatchNorm,
    squares: &mut [Squares],
) {
    for (squares, gradients) in squares.chunks_exact_mut(shape.quads as usize).zip([dgamma, dbeta]) {
        write_squares(squares, gradients.map_or(&[], |gradients| &gradients[..shape.width as usize]), |c| c / 4);
    }
}

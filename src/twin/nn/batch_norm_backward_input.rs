//! Twin of `shaders/nn/batch_norm_backward_input.wgsl`.

use crate::twin::shared::{BatchNorm, ChannelMoments, ChannelSlopes};

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
    let (width, stride) = (shape.width as usize, shape.stride());
    for at in 0..shape.rows as usize * stride {
        let c = at % stride;
        let mut value = 0.0;
        if c < width {
            let (mean, rstd) = (f64::from(moments[c].mean), f64::from(moments[c].rstd));
            let moved = of_batch.map_or(0.0, |(x, slopes)| {
                let normed = (f64::from(x[at]) - mean) * rstd;
                f64::from(slopes[c].plain) + normed * f64::from(slopes[c].along)
            });
            value = (f64::from(gamma[c]) * rstd * (f64::from(dy[at]) - moved)) as f32;
        }
        dx[at] = value + if accumulate { dx[at] } else { 0.0 };
    }
}

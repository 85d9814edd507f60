//! Twin of `shaders/nn/batch_moments.wgsl`.

use crate::twin::shared::{BatchNorm, ChannelMoments, Running};

/// The moments of each channel of x, and what they make of the running ones if those are tracked.
pub fn batch_moments(x: &[f32], running: Option<Running<'_>>, moments: &mut [ChannelMoments], shape: &BatchNorm) {
    let (rows, width) = (shape.rows as usize, shape.width as usize);
    let mut running = running;
    for (c, moments) in moments[..width].iter_mut().enumerate() {
        let column = || x.iter().skip(c).step_by(shape.stride()).take(rows).map(|x| f64::from(*x));
        let mean = column().sum::<f64>() / rows as f64;
        let variance = column().map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64;
        *moments = shape.moments(mean, variance);
        if let Some(running) = &mut running {
            running.track(c, [mean, variance], shape);
        }
    }
}

/// The same by the running statistics.
pub fn running_moments(mean: &[f32], variance: &[f32], moments: &mut [ChannelMoments], shape: &BatchNorm) {
    for c in 0..shape.width as usize {
        moments[c] = shape.moments(f64::from(mean[c]), f64::from(variance[c]));
    }
}

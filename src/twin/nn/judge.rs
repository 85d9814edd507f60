//! Twin of `shaders/nn/judge.wgsl`.

use crate::twin::shared::{Metrics, Standing};

/// Compares an evaluation, by its accuracy or by its loss, with the best one so far; `is_higher` says which is better.
pub fn judge(metrics: &Metrics, standing: &mut Standing, is_accuracy: bool, is_higher: bool) {
    let score = match is_accuracy {
        _ if metrics.rows == 0 => 0.0,
        true => (f64::from(metrics.correct) / f64::from(metrics.rows)) as f32,
        false => metrics.mean_loss() as f32,
    };
    let is_better = if is_higher { score > standing.score } else { score < standing.score };
    let is_best = !score.is_nan() && (standing.known == 0 || is_better);
    standing.best = u32::from(is_best);
    if is_best {
        (standing.score, standing.known) = (score, 1);
    }
}

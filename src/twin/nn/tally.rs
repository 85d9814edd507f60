//! Twin of `shaders/nn/tally.wgsl`.

use crate::twin::shared::{CORRECT, COUNTS, Loss, Metrics, Position, Verdict};

/// Sums a loss's verdicts on the rows; batch 0 restarts the sums.
pub fn tally(verdicts: &[Verdict], metrics: &mut Metrics, position: &Position, shape: &Loss) {
    let verdicts = &verdicts[..shape.rows as usize];
    let loss: f64 = verdicts.iter().map(|verdict| f64::from(verdict.loss)).sum();
    let marked = |mark: u32| verdicts.iter().filter(|verdict| verdict.mark & mark != 0).count() as u32;
    if position.batch == 0 {
        *metrics = Metrics::default();
    }
    metrics.loss_sum += loss as f32;
    if (loss as f32).is_finite() {
        add_exactly(metrics, loss.max(0.0));
    }
    metrics.correct += marked(CORRECT);
    metrics.rows += marked(COUNTS);
    metrics.loss = (loss / f64::from(marked(COUNTS).max(1))) as f32;
    metrics.epoch = position.epoch;
}

/// Adds a finite loss, which is not negative, to the exact sum.
fn add_exactly(metrics: &mut Metrics, loss: f64) {
    let (sum, carried) = metrics.loss_part.overflowing_add((loss.fract() * 4_294_967_296.0) as u32);
    metrics.loss_part = sum;
    metrics.loss_whole = metrics.loss_whole.wrapping_add(loss as u32).wrapping_add(u32::from(carried));
}

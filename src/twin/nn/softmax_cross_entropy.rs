//! Twin of `shaders/nn/softmax_cross_entropy.wgsl`.

use crate::twin::shared::{Loss, Metrics, Position};

/// Loss, its gradient and the number of right answers, from logits.
pub fn softmax_cross_entropy(
    z: &[f32],
    labels: &[u32],
    dz: &mut [f32],
    metrics: &mut Metrics,
    position: &Position,
    shape: &Loss,
) {
    let (classes, stride) = (shape.classes as usize, shape.quads as usize * 4);
    let (mut loss, mut correct) = (0.0f64, 0);
    for r in 0..shape.rows as usize {
        let row = &z[r * stride..][..classes];
        let label = (labels[r] as usize).min(classes - 1);
        let answer = (1..classes).fold(0, |best, c| if row[c] > row[best] { c } else { best });
        let largest = f64::from(row[answer]);
        let sum: f64 = row.iter().map(|z| (f64::from(*z) - largest).exp()).sum();
        for (c, slot) in dz[r * stride..][..stride].iter_mut().enumerate() {
            *slot = row.get(c).map_or(0.0, |z| {
                let target = if c == label { 1.0 } else { 0.0 };
                (f64::from(shape.scale) * ((f64::from(*z) - largest).exp() / sum - target)) as f32
            });
        }
        loss += sum.ln() + (largest - f64::from(row[label]));
        correct += u32::from(answer == label);
    }
    if position.batch == 0 {
        *metrics = Metrics::default();
    }
    metrics.loss_sum += loss as f32;
    metrics.correct += correct;
    metrics.rows += shape.rows;
    metrics.loss = (loss / f64::from(shape.rows)) as f32;
    metrics.epoch = position.epoch;
}

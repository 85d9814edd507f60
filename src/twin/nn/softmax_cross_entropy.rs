//! Twin of `shaders/nn/softmax_cross_entropy.wgsl`.

use crate::twin::shared::{CORRECT, COUNTS, Loss, Verdict};

/// Loss, its gradient (if there is a dz) and whether the prediction is right, row by row. A row that counts has this
/// [weight](Loss::weight) in the gradient.
pub fn softmax_cross_entropy(
    z: &[f32],
    labels: &[u32],
    mut dz: Option<&mut [f32]>,
    verdicts: &mut [Verdict],
    weight: f64,
    shape: &Loss,
) {
    let (rows, classes, stride) = (shape.rows as usize, shape.classes as usize, shape.quads as usize * 4);
    let smoothing = f64::from(shape.smoothing);
    for r in 0..rows {
        let row: Vec<f64> = z[r * stride..][..classes].iter().map(|z| f64::from(*z)).collect();
        let label = (labels[r] as usize).min(classes - 1);
        let counts = labels[r] != shape.ignore;
        let answer = (1..classes).fold(0, |best, c| if row[c] > row[best] { c } else { best });
        let largest = row[answer];
        let sum: f64 = row.iter().map(|z| (z - largest).exp()).sum();
        if let Some(dz) = &mut dz {
            for (c, slot) in dz[r * stride..][..stride].iter_mut().enumerate() {
                let target = smoothing / classes as f64 + if c == label { 1.0 - smoothing } else { 0.0 };
                let gradient = |z: &f64| (weight * ((z - largest).exp() / sum - target)) as f32;
                *slot = row.get(c).filter(|_| counts).map_or(0.0, gradient);
            }
        }
        // Without smoothing a logit of −inf costs nothing.
        let apart = if smoothing == 0.0 { 0.0 } else { smoothing * row.iter().sum::<f64>() / classes as f64 };
        let loss = sum.ln() + largest - (1.0 - smoothing) * row[label] - apart;
        // Without a largest logit no answer is right.
        verdicts[r] = match (counts, answer == label && !sum.is_nan()) {
            (false, _) => Verdict::default(),
            (true, true) => Verdict { loss: loss as f32, mark: COUNTS | CORRECT },
            (true, false) => Verdict { loss: loss as f32, mark: COUNTS },
        };
    }
}

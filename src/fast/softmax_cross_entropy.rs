//! Fast form of [`twin::nn::softmax_cross_entropy`](crate::twin::nn::softmax_cross_entropy).

use super::exponential::exp;
use super::rows::LEAST_ROWS;
use crate::twin::shared::{CORRECT, COUNTS, Loss, Verdict};
use rayon::prelude::*;

/// Loss, its gradient (if there is a dz) and whether the prediction is right, row by row. A row that counts has this
/// [weight](Loss::weight) in the gradient.
pub fn softmax_cross_entropy(
    z: &[f32],
    labels: &[u32],
    dz: Option<&mut [f32]>,
    verdicts: &mut [Verdict],
    weight: f64,
    shape: &Loss,
) {
    let (rows, classes, stride) = (shape.rows as usize, shape.classes as usize, shape.quads as usize * 4);
    let slopes: Vec<Option<&mut [f32]>> = match dz {
        Some(dz) => dz.chunks_mut(stride).take(rows).map(Some).collect(),
        None => (0..rows).map(|_| None).collect(),
    };
    let made = slopes.into_par_iter().zip(&mut verdicts[..rows]).with_min_len(LEAST_ROWS);
    let given = z[..rows * stride].par_chunks(stride).zip(&labels[..rows]);
    made.zip(given).for_each_init(
        || vec![0.0; classes],
        |powers, ((slopes, verdict), (row, label))| {
            let row = Row::of(&row[..classes], *label, powers);
            if let Some(slopes) = slopes {
                let weight = if *label == shape.ignore { 0.0 } else { weight };
                row.write_slopes(slopes, powers, weight, f64::from(shape.smoothing));
            }
            *verdict = if *label == shape.ignore { Verdict::default() } else { row.verdict(shape.smoothing) };
        },
    );
}

/// A row of logits, as the loss sees it.
struct Row<'a> {
    logits: &'a [f32],
    label: usize,
    /// The first of the largest logits.
    answer: usize,
    /// Of the powers.
    sum: f64,
}

impl Row<'_> {
    /// Fills in the powers: e to each logit less the largest.
    fn of<'a>(logits: &'a [f32], label: u32, powers: &mut [f32]) -> Row<'a> {
        let answer = (1..logits.len()).fold(0, |best, c| if logits[c] > logits[best] { c } else { best });
        let largest = logits[answer];
        powers.iter_mut().zip(logits).for_each(|(power, z)| *power = exp(z - largest));
        let sum = powers.iter().map(|power| f64::from(*power)).sum();
        Row { logits, label: (label as usize).min(logits.len() - 1), answer, sum }
    }

    fn write_slopes(&self, slopes: &mut [f32], powers: &[f32], weight: f64, smoothing: f64) {
        slopes.fill(0.0);
        if weight == 0.0 {
            return;
        }
        let (share, apart) = (1.0 / self.sum, smoothing / powers.len() as f64);
        let slope = |power: f32, target: f64| (weight * (f64::from(power) * share - target)) as f32;
        slopes.iter_mut().zip(powers).for_each(|(slot, power)| *slot = slope(*power, apart));
        slopes[self.label] = slope(powers[self.label], apart + 1.0 - smoothing);
    }

    fn verdict(&self, smoothing: f32) -> Verdict {
        let smoothing = f64::from(smoothing);
        let mean = || self.logits.iter().map(|z| f64::from(*z)).sum::<f64>() / self.logits.len() as f64;
        // Without smoothing a logit of −inf costs nothing.
        let apart = if smoothing == 0.0 { 0.0 } else { smoothing * mean() };
        let [largest, of_label] = [self.answer, self.label].map(|c| f64::from(self.logits[c]));
        let loss = self.sum.ln() + largest - (1.0 - smoothing) * of_label - apart;
        // Without a largest logit no answer is right.
        let is_right = self.answer == self.label && !self.sum.is_nan();
        Verdict { loss: loss as f32, mark: if is_right { COUNTS | CORRECT } else { COUNTS } }
    }
}

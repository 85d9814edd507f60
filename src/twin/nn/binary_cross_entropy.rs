//! Twin of `shaders/nn/binary_cross_entropy.wgsl`.

use crate::twin::shared::{CORRECT, COUNTS, Loss, Verdict};

/// Loss, its gradient (if there is a dz) and whether every label is right, row by row. A row that counts has this
/// [weight](Loss::weight) in the gradient.
pub fn binary_cross_entropy(
    z: &[f32],
    targets: &[f32],
    labels: &[u32],
    mut dz: Option<&mut [f32]>,
    verdicts: &mut [Verdict],
    weight: f64,
    shape: &Loss,
) {
    let (rows, outputs, stride) = (shape.rows as usize, shape.classes as usize, shape.quads as usize * 4);
    let weight = weight / outputs as f64;
    for r in 0..rows {
        let row =
            |values: &[f32]| -> Vec<f64> { values[r * stride..][..outputs].iter().map(|x| f64::from(*x)).collect() };
        let pairs: Vec<(f64, f64)> = row(z).into_iter().zip(row(targets)).collect();
        let is_spoiled = pairs.iter().any(|(z, t)| !z.is_finite() || !t.is_finite());
        let counts = labels[r] != shape.ignore;
        if let Some(dz) = &mut dz {
            let slope = |(z, t): &(f64, f64)| if is_spoiled { f64::NAN } else { 1.0 / (1.0 + (-z).exp()) - t };
            shape.write_slopes(&mut dz[r * stride..][..stride], pairs.iter().filter(|_| counts).map(slope), weight);
        }
        let loss = |(z, t): &(f64, f64)| z.max(0.0) - t * z + (-z.abs()).exp().ln_1p();
        let mean = if is_spoiled { f64::NAN } else { pairs.iter().map(loss).sum::<f64>() / outputs as f64 };
        let is_right = !is_spoiled && pairs.iter().all(|(z, t)| (*z > 0.0) == (*t > 0.5));
        verdicts[r] = match (counts, is_right) {
            (false, _) => Verdict::default(),
            (true, true) => Verdict { loss: mean as f32, mark: COUNTS | CORRECT },
            (true, false) => Verdict { loss: mean as f32, mark: COUNTS },
        };
    }
}

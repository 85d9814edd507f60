//! Twin of `shaders/nn/squared_error.wgsl`.

use crate::twin::shared::{COUNTS, Loss, Verdict};

/// Loss and its gradient (if there is a dz), row by row. A row that counts has this [weight](Loss::weight) in the gradient.
pub fn squared_error(
    z: &[f32],
    targets: &[f32],
    labels: &[u32],
    mut dz: Option<&mut [f32]>,
    verdicts: &mut [Verdict],
    weight: f64,
    shape: &Loss,
) {
    let (rows, outputs, stride) = (shape.rows as usize, shape.classes as usize, shape.quads as usize * 4);
    let weight = 2.0 * weight / outputs as f64;
    for r in 0..rows {
        let row =
            |values: &[f32]| -> Vec<f64> { values[r * stride..][..outputs].iter().map(|x| f64::from(*x)).collect() };
        let apart: Vec<f64> = row(z).iter().zip(row(targets)).map(|(z, t)| z - t).collect();
        let is_spoiled = apart.iter().any(|apart| !apart.is_finite());
        let counts = labels[r] != shape.ignore;
        if let Some(dz) = &mut dz {
            let slope = |apart: &f64| if is_spoiled { f64::NAN } else { *apart };
            shape.write_slopes(&mut dz[r * stride..][..stride], apart.iter().filter(|_| counts).map(slope), weight);
        }
        let mean = if is_spoiled { f64::NAN } else { apart.iter().map(|d| d * d).sum::<f64>() / outputs as f64 };
        verdicts[r] = if counts { Verdict { loss: mean as f32, mark: COUNTS } } else { Verdict::default() };
    }
}

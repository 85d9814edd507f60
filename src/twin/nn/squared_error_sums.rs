//! Twin of `shaders/nn/squared_error_sums.wgsl`.

use crate::twin::shared::{Loss, Position};

/// The sum of squared errors of each output over a batch.
pub fn squared_error_sums(
    z: &[f32],
    targets: &[f32],
    labels: &[u32],
    sums: &mut [f32],
    position: &Position,
    shape: &Loss,
) {
    let (outputs, stride) = (shape.classes as usize, shape.quads as usize * 4);
    let counting = || (0..shape.rows as usize).filter(|r| labels[*r] != shape.ignore);
    for (k, slot) in sums[position.batch as usize * outputs..][..outputs].iter_mut().enumerate() {
        let apart = |r: usize| f64::from(z[r * stride + k]) - f64::from(targets[r * stride + k]);
        *slot = counting().map(|r| apart(r).powi(2)).sum::<f64>() as f32;
    }
}

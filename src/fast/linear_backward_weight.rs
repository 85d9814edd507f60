//! Fast form of [`twin::nn::linear_backward_weight`](crate::twin::nn::linear_backward_weight).

use super::matrix::{matrix, matrix_mut, multiply};
use super::rows::{column_sums, store};
use crate::twin::shared::Linear;

/// dW = dzᵀ x and db = the column sums of dz; added to what is there where `accumulate` is set.
/// What is frozen is `None`.
pub fn linear_backward_weight(
    dz: &[f32],
    x: &[f32],
    dweight: Option<&mut [f32]>,
    dbias: Option<&mut [f32]>,
    shape: &Linear,
    accumulate: bool,
) {
    let (rows, inputs, outputs) = (shape.rows as usize, shape.inputs as usize, shape.outputs as usize);
    let (from, to) = (shape.input(1, 0), shape.output(1, 0));
    if let Some(dweight) = dweight {
        let (dz, x) = (matrix(dz, [rows, outputs], to), matrix(x, [rows, inputs], from));
        let kept = if accumulate { 1.0 } else { 0.0 };
        multiply(dz.t(), x, kept, matrix_mut(dweight, [outputs, inputs], inputs), |_, _, _| ());
    }
    if let Some(dbias) = dbias {
        let sums = column_sums(rows, outputs, |r, sums| {
            sums.iter_mut().zip(&dz[r * to..]).for_each(|(sum, d)| *sum += d);
        });
        store(dbias, &sums, accumulate);
    }
}

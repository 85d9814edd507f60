//! Fast form of [`twin::nn::linear_backward_weight`](crate::twin::nn::linear_backward_weight).

use super::matrix::{matrix, matrix_mut, share};
use crate::twin::shared::Linear;
use ndarray::linalg::general_mat_mul;
use rayon::prelude::*;

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
    let stride = shape.output(1, 0);
    if let Some(dweight) = dweight {
        let x = matrix(x, [rows, inputs], shape.input(1, 0));
        let (shared, kept) = (share(outputs), if accumulate { 1.0 } else { 0.0 });
        dweight[..outputs * inputs].par_chunks_mut(shared * inputs).enumerate().for_each(|(block, dweight)| {
            let (first, count) = (block * shared, dweight.len() / inputs);
            let dz = matrix(&dz[first..], [rows, count], stride);
            general_mat_mul(1.0, &dz.t(), &x, kept, &mut matrix_mut(dweight, [count, inputs], inputs));
        });
    }
    if let Some(dbias) = dbias {
        let mut sums = vec![0.0f64; outputs];
        for row in dz[..rows * stride].chunks(stride) {
            sums.iter_mut().zip(row).for_each(|(sum, d)| *sum += f64::from(*d));
        }
        for (slot, sum) in dbias.iter_mut().zip(sums) {
            *slot = sum as f32 + if accumulate { *slot } else { 0.0 };
        }
    }
}

//! Fast form of [`twin::nn::linear_backward_input`](crate::twin::nn::linear_backward_input).

use super::activation::through;
use super::matrix::{matrix, matrix_mut, multiply};
use crate::twin::shared::Linear;
use rayon::prelude::*;

/// dz_below = activation′(z_below) ∘ (dz W); added to what is there where `accumulate` is set. Without an activation
/// (0) z_below is not read.
pub fn linear_backward_input(
    dz: &[f32],
    weight: &[f32],
    z_below: &[f32],
    dz_below: &mut [f32],
    shape: &Linear,
    activation: u32,
    accumulate: bool,
) {
    let (rows, inputs, outputs) = (shape.rows as usize, shape.inputs as usize, shape.outputs as usize);
    let (from, to) = (shape.output(1, 0), shape.input(1, 0));
    let (dz, weight) = (matrix(dz, [rows, outputs], from), matrix(weight, [outputs, inputs], inputs));
    let bend = |d: &mut [f32], r: usize, first: usize| {
        if activation != 0 {
            through(activation, &z_below[r * to + first..][..d.len()], d);
        }
    };
    let dz_below = &mut dz_below[..rows * to];
    if !accumulate {
        multiply(dz, weight, 0.0, matrix_mut(dz_below, [rows, inputs], to), bend);
        dz_below.chunks_mut(to).for_each(|row| row[inputs..].fill(0.0));
    } else if activation == 0 {
        multiply(dz, weight, 1.0, matrix_mut(dz_below, [rows, inputs], to), bend);
    } else {
        let mut sums = vec![0.0; rows * inputs];
        multiply(dz, weight, 0.0, matrix_mut(&mut sums, [rows, inputs], inputs), bend);
        dz_below.par_chunks_mut(to).zip(sums.par_chunks(inputs)).with_min_len(16).for_each(|(row, sums)| {
            row.iter_mut().zip(sums).for_each(|(slot, sum)| *slot += sum);
        });
    }
}

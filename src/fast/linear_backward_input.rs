//! Fast form of [`twin::nn::linear_backward_input`](crate::twin::nn::linear_backward_input).

use super::matrix::{matrix, share};
use crate::twin::shared::{Linear, activate_derivative};
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
    let weight = matrix(weight, [outputs, inputs], inputs);
    let shared = share(rows);
    let blocks = dz[..rows * from].par_chunks(shared * from).zip(dz_below[..rows * to].par_chunks_mut(shared * to));
    blocks.enumerate().for_each(|(block, (dz, dz_below))| {
        let first = block * shared;
        let sums = matrix(dz, [dz.len() / from, outputs], from).dot(&weight);
        for (r, (row, sums)) in dz_below.chunks_mut(to).zip(sums.rows()).enumerate() {
            for (i, slot) in row.iter_mut().enumerate() {
                let factor = match activation {
                    0 => 1.0,
                    _ => activate_derivative(activation, z_below[shape.input(first + r, i)]),
                };
                let value = sums.get(i).map_or(0.0, |sum| sum * factor);
                *slot = value + if accumulate { *slot } else { 0.0 };
            }
        }
    });
}

//! Fast form of [`twin::nn::linear`](crate::twin::nn::linear).

use super::matrix::{matrix, matrix_mut, share};
use crate::twin::nn::Epilogue;
use crate::twin::shared::{Linear, activate};
use ndarray::linalg::general_mat_mul;
use rayon::prelude::*;

/// z = x Wᵀ + b; no bias where there is none.
pub fn linear(x: &[f32], weight: &[f32], bias: Option<&[f32]>, z: &mut [f32], shape: &Linear, epilogue: Epilogue<'_>) {
    let (rows, inputs, outputs) = (shape.rows as usize, shape.inputs as usize, shape.outputs as usize);
    let (from, to) = (shape.input(1, 0), shape.output(1, 0));
    let weight = matrix(weight, [outputs, inputs], inputs);
    let affine = |x: &[f32], z: &mut [f32]| {
        let rows = z.len() / to;
        general_mat_mul(
            1.0,
            &matrix(x, [rows, inputs], from),
            &weight.t(),
            0.0,
            &mut matrix_mut(z, [rows, outputs], to),
        );
        for row in z.chunks_mut(to) {
            if let Some(bias) = bias {
                row.iter_mut().zip(&bias[..outputs]).for_each(|(z, bias)| *z += bias);
            }
            row[outputs..].fill(0.0);
        }
    };
    let shared = share(rows);
    let blocks = x[..rows * from].par_chunks(shared * from).zip(z[..rows * to].par_chunks_mut(shared * to));
    match epilogue {
        Epilogue::Plain => blocks.for_each(|(x, z)| affine(x, z)),
        Epilogue::Activated(activation, h) => {
            blocks.zip(h[..rows * to].par_chunks_mut(shared * to)).for_each(|((x, z), h)| {
                affine(x, z);
                h.iter_mut().zip(z).for_each(|(h, z)| *h = activate(activation, *z));
            });
        }
        Epilogue::Residual(residual) => {
            blocks.zip(residual[..rows * to].par_chunks(shared * to)).for_each(|((x, z), residual)| {
                affine(x, z);
                for (row, residual) in z.chunks_mut(to).zip(residual.chunks(to)) {
                    row.iter_mut().zip(&residual[..outputs]).for_each(|(z, residual)| *z += residual);
                }
            });
        }
    }
}

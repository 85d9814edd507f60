//! Fast form of [`twin::nn::linear`](crate::twin::nn::linear).

use super::activation::activate;
use super::matrix::{matrix, matrix_mut, multiply};
use crate::twin::nn::Epilogue;
use crate::twin::shared::Linear;
use rayon::prelude::*;

/// z = x Wᵀ + b; no bias if there is none.
pub fn linear(x: &[f32], weight: &[f32], bias: Option<&[f32]>, z: &mut [f32], shape: &Linear, epilogue: Epilogue<'_>) {
    let (rows, inputs, outputs) = (shape.rows as usize, shape.inputs as usize, shape.outputs as usize);
    let (from, to) = (shape.input(1, 0), shape.output(1, 0));
    let residual = match &epilogue {
        Epilogue::Residual(residual) => Some(*residual),
        Epilogue::Plain | Epilogue::Activated(..) => None,
    };
    let finish = |z: &mut [f32], r: usize, first: usize| {
        if let Some(bias) = bias {
            z.iter_mut().zip(&bias[first..outputs]).for_each(|(z, bias)| *z += bias);
        }
        if let Some(residual) = residual {
            z.iter_mut().zip(&residual[r * to + first..]).for_each(|(z, residual)| *z += residual);
        }
    };
    let z = &mut z[..rows * to];
    let (x, weight) = (matrix(x, [rows, inputs], from), matrix(weight, [outputs, inputs], inputs));
    multiply(x, weight.t(), 0.0, matrix_mut(z, [rows, outputs], to), finish);
    z.chunks_mut(to).for_each(|row| row[outputs..].fill(0.0));
    if let Epilogue::Activated(activation, h) = epilogue {
        let blocks = h[..rows * to].par_chunks_mut(16 * to).zip(z.par_chunks(16 * to));
        blocks.for_each(|(h, z)| activate(activation, z, h));
    }
}

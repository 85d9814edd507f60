//! Twin of `shaders/nn/linear_backward_weight.wgsl`.

use crate::twin::shared::{Linear, Squares, write_squares};

/// dW = dzᵀ x and db = the column sums of dz; added to what is there where `accumulate` is set.
/// What is frozen is `None`.
pub fn linear_backward_weight(
    dz: &[f32],
    x: &[f32],
    mut dweight: Option<&mut [f32]>,
    mut dbias: Option<&mut [f32]>,
    shape: &Linear,
    accumulate: bool,
) {
    let (inputs, outputs) = (shape.inputs as usize, shape.outputs as usize);
    let store = |slot: &mut f32, sum: f64| *slot = sum as f32 + if accumulate { *slot } else { 0.0 };
    for o in 0..outputs {
        let mut sums = vec![0.0f64; inputs];
        let mut bias = 0.0f64;
        for r in 0..shape.rows as usize {
            let d = f64::from(dz[shape.output(r, o)]);
            for (sum, x) in sums.iter_mut().zip(&x[shape.input(r, 0)..]) {
                *sum += d * f64::from(*x);
            }
            bias += d;
        }
        if let Some(dweight) = &mut dweight {
            for (slot, sum) in dweight[o * inputs..].iter_mut().zip(sums) {
                store(slot, sum);
            }
        }
        if let Some(dbias) = &mut dbias {
            store(&mut dbias[o], bias);
        }
    }
}

/// The squares of what was written: those of tiles of 8 outputs by 8 inputs, and at the end those of the biases, 8 each.
pub fn linear_backward_weight_squares(
    dweight: Option<&[f32]>,
    dbias: Option<&[f32]>,
    shape: &Linear,
    squares: &mut [Squares],
) {
    let (inputs, outputs) = (shape.inputs as usize, shape.outputs as usize);
    let (down, across) = (outputs.div_ceil(8), inputs.div_ceil(8));
    if let Some(dbias) = dbias {
        let first = squares.len() - down;
        write_squares(&mut squares[first..], &dbias[..outputs], |o| o / 8);
    }
    if let Some(dweight) = dweight {
        let tile_of = |place: usize| place / inputs / 8 * across + place % inputs / 8;
        write_squares(&mut squares[..down * across], &dweight[..inputs * outputs], tile_of);
    }
}

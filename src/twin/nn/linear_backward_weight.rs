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

/// The squares of what was written: a partial sum an invocation, and at the end those of the biases, one for each
/// invocation down the first tiles. In a tile SIDE by SIDE invocations make QUADS by QUADS quads of each way, SIDE apart.
pub fn linear_backward_weight_squares(
    dweight: Option<&[f32]>,
    dbias: Option<&[f32]>,
    shape: &Linear,
    [side, quads]: [usize; 2],
    squares: &mut [Squares],
) {
    let (inputs, outputs) = (shape.inputs as usize, shape.outputs as usize);
    let edge = 4 * side * quads;
    let (down, across) = (outputs.div_ceil(edge), inputs.div_ceil(edge));
    if let Some(dbias) = dbias {
        let first = squares.len() - down * side;
        write_squares(&mut squares[first..], &dbias[..outputs], |o| o / edge * side + o / 4 % side);
    }
    if let Some(dweight) = dweight {
        let invocation = |place: usize| {
            let (o, i) = (place / inputs, place % inputs);
            let tile = o / edge * across + i / edge;
            tile * side * side + o / 4 % side * side + i / 4 % side
        };
        write_squares(&mut squares[..down * across * side * side], &dweight[..inputs * outputs], invocation);
    }
}

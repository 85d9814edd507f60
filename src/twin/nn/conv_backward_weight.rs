//! Twin of `shaders/nn/conv_backward_weight.wgsl`.

use crate::twin::shared::{Conv, Squares, write_squares};

/// dW = dz times the pixels below each window, and db = the column sums of dz; added to what is there where `accumulate` is set.
/// What is frozen is `None`.
pub fn conv_backward_weight(
    dz: &[f32],
    x: &[f32],
    mut dweight: Option<&mut [f32]>,
    mut dbias: Option<&mut [f32]>,
    shape: &Conv,
    accumulate: bool,
) {
    let inputs = shape.group_inputs as usize;
    let store = |slot: &mut f32, sum: f64| *slot = sum as f32 + if accumulate { *slot } else { 0.0 };
    for o in 0..shape.outputs as usize {
        let mut sums = vec![0.0f64; shape.depth()];
        let mut bias = 0.0f64;
        for r in 0..shape.rows as usize {
            let d = f64::from(dz[shape.output(r, o)]);
            bias += d;
            for tap in 0..shape.taps() {
                let Some(pixel) = shape.pixel_below(r, tap) else { continue };
                let x = &x[shape.input(pixel, shape.first_input(o))..];
                for (sum, x) in sums[tap * inputs..][..inputs].iter_mut().zip(x) {
                    *sum += d * f64::from(*x);
                }
            }
        }
        if let Some(dweight) = &mut dweight {
            dweight[o * shape.depth()..].iter_mut().zip(sums).for_each(|(slot, sum)| store(slot, sum));
        }
        if let Some(dbias) = &mut dbias {
            store(&mut dbias[o], bias);
        }
    }
}

/// The squares of what was written, as those of a linear layer whose inputs are the quads of all taps.
pub fn conv_backward_weight_squares(
    dweight: Option<&[f32]>,
    dbias: Option<&[f32]>,
    shape: &Conv,
    [side, quads]: [usize; 2],
    squares: &mut [Squares],
) {
    let (inputs, outputs) = (shape.group_inputs as usize, shape.outputs as usize);
    let (edge, all) = (side * quads, shape.taps() * shape.input_quads as usize);
    let (down, across) = (outputs.div_ceil(4 * edge), all.div_ceil(edge));
    if let Some(dbias) = dbias {
        let first = squares.len() - down * side;
        write_squares(&mut squares[first..], &dbias[..outputs], |o| o / (4 * edge) * side + o / 4 % side);
    }
    if let Some(dweight) = dweight {
        let invocation = |place: usize| {
            let (o, tap, i) = (place / shape.depth(), place % shape.depth() / inputs, place % inputs);
            let q = tap * shape.input_quads as usize + (shape.first_input(o) + i) / 4;
            let tile = o / (4 * edge) * across + q / edge;
            tile * side * side + o / 4 % side * side + q % side
        };
        write_squares(&mut squares[..down * across * side * side], &dweight[..outputs * shape.depth()], invocation);
    }
}

//! Twin of `shaders/nn/depthwise_backward_weight.wgsl`.

use super::conv_backward_weight;
use crate::twin::shared::{Conv, Squares, write_squares};

/// As of a convolution with a group for each channel.
pub fn depthwise_backward_weight(
    dz: &[f32],
    x: &[f32],
    dweight: Option<&mut [f32]>,
    dbias: Option<&mut [f32]>,
    shape: &Conv,
    accumulate: bool,
) {
    conv_backward_weight(dz, x, dweight, dbias, shape, accumulate);
}

/// The squares of what was written: one for each quad of channels at a tap, and at the end those of the biases.
pub fn depthwise_backward_weight_squares(
    dweight: Option<&[f32]>,
    dbias: Option<&[f32]>,
    shape: &Conv,
    squares: &mut [Squares],
) {
    let (channels, taps, quads) = (shape.outputs as usize, shape.taps(), shape.output_quads as usize);
    if let Some(dbias) = dbias {
        let first = squares.len() - quads;
        write_squares(&mut squares[first..], &dbias[..channels], |c| c / 4);
    }
    if let Some(dweight) = dweight {
        let column = |place: usize| place % taps * quads + place / taps / 4;
        write_squares(&mut squares[..taps * quads], &dweight[..channels * taps], column);
    }
}

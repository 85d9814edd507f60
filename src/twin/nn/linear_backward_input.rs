//! Twin of `shaders/nn/linear_backward_input.wgsl`.

use crate::twin::shared::{Linear, activate_derivative};

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
    let (inputs, outputs) = (shape.inputs as usize, shape.outputs as usize);
    for r in 0..shape.rows as usize {
        let mut sums = vec![0.0f64; inputs];
        for o in 0..outputs {
            let d = f64::from(dz[shape.output(r, o)]);
            for (sum, w) in sums.iter_mut().zip(&weight[o * inputs..]) {
                *sum += d * f64::from(*w);
            }
        }
        for i in 0..shape.input_quads as usize * 4 {
            let at = shape.input(r, i);
            let factor = if activation == 0 { 1.0 } else { activate_derivative(activation, z_below[at]) };
            let value = sums.get(i).map_or(0.0, |sum| *sum as f32 * factor);
            dz_below[at] = value + if accumulate { dz_below[at] } else { 0.0 };
        }
    }
}

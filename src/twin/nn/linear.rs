//! Twin of `shaders/nn/linear.wgsl`.

use crate::twin::shared::{Linear, activate};

/// z = x Wᵀ + b, and h = activation(z) where there is an h.
pub fn linear(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    z: &mut [f32],
    shape: &Linear,
    mut h: Option<&mut [f32]>,
    activation: u32,
) {
    let (inputs, outputs) = (shape.inputs as usize, shape.outputs as usize);
    for r in 0..shape.rows as usize {
        let row = &x[shape.input(r, 0)..][..inputs];
        for o in 0..shape.output_quads as usize * 4 {
            let at = shape.output(r, o);
            z[at] = if o < outputs {
                let products = row.iter().zip(&weight[o * inputs..]).map(|(x, w)| f64::from(*x) * f64::from(*w));
                (products.sum::<f64>() + f64::from(bias[o])) as f32
            } else {
                0.0
            };
            if let Some(h) = &mut h {
                h[at] = activate(activation, z[at]);
            }
        }
    }
}

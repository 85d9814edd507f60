//! Twin of `shaders/nn/linear.wgsl`.

use crate::twin::shared::{Linear, activate};

/// What is done with z: an activation writes h, a residual joins z.
pub enum Epilogue<'a> {
    /// Nothing.
    Plain,
    /// h = activation(z).
    Activated(u32, &'a mut [f32]),
    /// z = residual + …
    Residual(&'a [f32]),
}

/// z = x Wᵀ + b; no bias where there is none.
pub fn linear(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    z: &mut [f32],
    shape: &Linear,
    mut epilogue: Epilogue<'_>,
) {
    let (inputs, outputs) = (shape.inputs as usize, shape.outputs as usize);
    for r in 0..shape.rows as usize {
        let row = &x[shape.input(r, 0)..][..inputs];
        for o in 0..shape.output_quads as usize * 4 {
            let at = shape.output(r, o);
            z[at] = if o < outputs {
                let products = row.iter().zip(&weight[o * inputs..]).map(|(x, w)| f64::from(*x) * f64::from(*w));
                let added = match &epilogue {
                    Epilogue::Residual(residual) => f64::from(residual[at]),
                    Epilogue::Plain | Epilogue::Activated(..) => 0.0,
                };
                (products.sum::<f64>() + bias.map_or(0.0, |bias| f64::from(bias[o])) + added) as f32
            } else {
                0.0
            };
            if let Epilogue::Activated(activation, h) = &mut epilogue {
                h[at] = activate(*activation, z[at]);
            }
        }
    }
}

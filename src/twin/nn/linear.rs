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

/// Rows whose sums are made side by side: an addition does not wait for the one before it, and takes 0.2 to 0.3 of the
/// time. Each sum has its order, and so its bits.
const ABREAST: usize = 8;

/// z = x Wᵀ + b; no bias if there is none.
pub fn linear(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    z: &mut [f32],
    shape: &Linear,
    mut epilogue: Epilogue<'_>,
) {
    let (rows, inputs, outputs) = (shape.rows as usize, shape.inputs as usize, shape.outputs as usize);
    for first in (0..rows).step_by(ABREAST) {
        let last = rows.min(first + ABREAST);
        let mut columns = vec![[0.0f64; ABREAST]; inputs];
        for r in first..last {
            for (column, x) in columns.iter_mut().zip(&x[shape.input(r, 0)..]) {
                column[r - first] = f64::from(*x);
            }
        }
        for o in 0..shape.output_quads as usize * 4 {
            let mut sums = [0.0f64; ABREAST];
            if o < outputs {
                for (column, w) in columns.iter().zip(&weight[o * inputs..]) {
                    let w = f64::from(*w);
                    sums.iter_mut().zip(column).for_each(|(sum, x)| *sum += x * w);
                }
            }
            for r in first..last {
                let at = shape.output(r, o);
                z[at] = if o < outputs {
                    let added = match &epilogue {
                        Epilogue::Residual(residual) => f64::from(residual[at]),
                        Epilogue::Plain | Epilogue::Activated(..) => 0.0,
                    };
                    (sums[r - first] + bias.map_or(0.0, |bias| f64::from(bias[o])) + added) as f32
                } else {
                    0.0
                };
                if let Epilogue::Activated(activation, h) = &mut epilogue {
                    h[at] = activate(*activation, z[at]);
                }
            }
        }
    }
}

//! Twin of `shaders/nn/conv.wgsl`.

use crate::twin::shared::Conv;

/// z = the products of each window of x with W, and b; no bias if there is none. W is [outputs, taps, group_inputs].
pub fn conv(x: &[f32], weight: &[f32], bias: Option<&[f32]>, z: &mut [f32], shape: &Conv) {
    let (inputs, outputs) = (shape.group_inputs as usize, shape.outputs as usize);
    for r in 0..shape.rows as usize {
        let mut sums = vec![0.0f64; outputs];
        for tap in 0..shape.taps() {
            let Some(pixel) = shape.pixel_below(r, tap) else { continue };
            for (o, sum) in sums.iter_mut().enumerate() {
                let x = &x[shape.input(pixel, shape.first_input(o))..][..inputs];
                let weight = &weight[o * shape.depth() + tap * inputs..];
                *sum += x.iter().zip(weight).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>();
            }
        }
        for o in 0..shape.output_quads as usize * 4 {
            let biased = |sum: &f64| (sum + bias.map_or(0.0, |bias| f64::from(bias[o]))) as f32;
            z[shape.output(r, o)] = sums.get(o).map_or(0.0, biased);
        }
    }
}

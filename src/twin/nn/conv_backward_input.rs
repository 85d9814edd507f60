//! Twin of `shaders/nn/conv_backward_input.wgsl`.

use crate::twin::shared::Conv;

/// dx = what each window's dz gives to the pixels below it; added to what is there where `accumulate` is set. Rows of the shape
/// are the pixels of x.
pub fn conv_backward_input(dz: &[f32], weight: &[f32], dx: &mut [f32], shape: &Conv, accumulate: bool) {
    let (inputs, outputs) = (shape.inputs as usize, shape.outputs as usize);
    let (pixels, group) = (shape.rows as usize, shape.group_inputs as usize);
    let windows = pixels / (shape.in_height * shape.in_width) as usize * (shape.out_height * shape.out_width) as usize;
    let mut sums = vec![0.0f64; pixels * inputs];
    for r in 0..windows {
        for tap in 0..shape.taps() {
            let Some(pixel) = shape.pixel_below(r, tap) else { continue };
            for o in 0..outputs {
                let d = f64::from(dz[shape.output(r, o)]);
                let weight = &weight[o * shape.depth() + tap * group..];
                for (sum, w) in sums[pixel * inputs + shape.first_input(o)..][..group].iter_mut().zip(weight) {
                    *sum += d * f64::from(*w);
                }
            }
        }
    }
    for pixel in 0..pixels {
        for i in 0..shape.input_quads as usize * 4 {
            let at = shape.input(pixel, i);
            let value = if i < inputs { sums[pixel * inputs + i] as f32 } else { 0.0 };
            dx[at] = value + if accumulate { dx[at] } else { 0.0 };
        }
    }
}

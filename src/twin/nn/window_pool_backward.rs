//! Twin of `shaders/nn/window_pool_backward.wgsl`.

use super::window_pool::places;
use crate::twin::shared::Conv;

/// dx = what each window's dy gives to the pixel of its largest number, or, without `which`, to all below it alike; added to what
/// is there where `accumulate` is set. Rows of the shape are the pixels of x.
pub fn window_pool_backward(dy: &[f32], which: Option<&[u32]>, dx: &mut [f32], shape: &Conv, accumulate: bool) {
    let (pixels, stride) = (shape.rows as usize, shape.input(1, 0));
    let windows = pixels / (shape.in_height * shape.in_width) as usize * (shape.out_height * shape.out_width) as usize;
    let mut sums = vec![0.0f64; pixels * stride];
    for (r, c) in places(windows, stride) {
        let d = f64::from(dy[shape.output(r, c)]);
        for tap in 0..shape.taps() {
            let Some(pixel) = shape.pixel_below(r, tap) else { continue };
            sums[pixel * stride + c] += match which {
                None => d / shape.taps() as f64,
                Some(which) if which[shape.output(r, c)] == tap as u32 => d,
                Some(_) => 0.0,
            };
        }
    }
    for (dx, sum) in dx.iter_mut().zip(sums) {
        *dx = sum as f32 + if accumulate { *dx } else { 0.0 };
    }
}

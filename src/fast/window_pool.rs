//! Fast forms of [`window_pool`](crate::twin::nn::window_pool) and [`window_pool_backward`](crate::twin::nn::window_pool_backward): the
//! twins, a thread taking a picture.

use crate::twin;
use crate::twin::shared::Conv;
use rayon::prelude::*;

/// Numbers of a picture on both sides of a pool, and of how many pixels they are.
fn sides(shape: &Conv) -> ([usize; 2], [u32; 2]) {
    let pixels = [shape.in_height * shape.in_width, shape.out_height * shape.out_width];
    ([shape.input(pixels[0] as usize, 0), shape.output(pixels[1] as usize, 0)], pixels)
}

/// The largest number below each window and its tap, or the mean.
pub fn window_pool(x: &[f32], y: &mut [f32], which: Option<&mut [u32]>, shape: &Conv) {
    let ([before, behind], [_, pixels]) = sides(shape);
    // A window larger than the picture makes nothing.
    let Some(pictures) = shape.rows.checked_div(pixels) else { return };
    let (one, pictures) = (Conv { rows: pixels, ..*shape }, pictures as usize);
    let (x, y) = (&x[..pictures * before], &mut y[..pictures * behind]);
    let pairs = x.par_chunks(before).zip(y.par_chunks_mut(behind));
    match which {
        None => pairs.for_each(|(x, y)| twin::nn::window_pool(x, y, None, &one)),
        Some(which) => pairs
            .zip(which[..pictures * behind].par_chunks_mut(behind))
            .for_each(|((x, y), which)| twin::nn::window_pool(x, y, Some(which), &one)),
    }
}

/// The gradient of what is below the windows.
pub fn window_pool_backward(dy: &[f32], which: Option<&[u32]>, dx: &mut [f32], shape: &Conv, accumulate: bool) {
    let ([before, behind], [pixels, _]) = sides(shape);
    let one = Conv { rows: pixels, ..*shape };
    let pictures = (shape.rows / pixels) as usize;
    let all = dx[..pictures * before].par_chunks_mut(before).enumerate();
    all.for_each(|(picture, dx)| {
        let part = picture * behind..(picture + 1) * behind;
        let which = which.map(|which| &which[part.clone()]);
        twin::nn::window_pool_backward(&dy[part.clone()], which, dx, &one, accumulate);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_larger_than_the_picture_makes_nothing() {
        let shape = Conv { in_height: 2, in_width: 2, input_quads: 1, output_quads: 1, stride: 1, ..Conv::default() };
        window_pool(&[1.0; 16], &mut [], None, &shape);
        let mut dx = [7.0; 16];
        let shape = Conv { rows: 4, ..shape };
        window_pool_backward(&[], None, &mut dx, &shape, false);
        assert_eq!(dx, [0.0; 16]);
    }

    #[test]
    fn they_are_the_twins() {
        let [in_height, in_width, out_height, out_width] = [5, 6, 3, 3];
        let shape = Conv {
            rows: 3 * out_height * out_width,
            inputs: 5,
            outputs: 5,
            input_quads: 2,
            output_quads: 2,
            in_height,
            in_width,
            out_height,
            out_width,
            kernel_height: 3,
            kernel_width: 3,
            stride: 2,
            dilation: 1,
            top: 1,
            left: 1,
            group_inputs: 1,
            group_outputs: 1,
            ..Conv::default()
        };
        let numbers = |count: u32| -> Vec<f32> {
            (0..count).map(|at| (at.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0).collect()
        };
        let (x, dy) = (numbers(3 * 30 * 8), numbers(3 * 9 * 8));
        for largest in [false, true] {
            type Pool = fn(&[f32], &mut [f32], Option<&mut [u32]>, &Conv);
            let of = |pool: Pool| {
                let (mut y, mut which) = (vec![7.0; 3 * 9 * 8], vec![9; 3 * 9 * 8]);
                pool(&x, &mut y, largest.then_some(&mut which[..]), &shape);
                (y, which)
            };
            assert_eq!(of(window_pool), of(twin::nn::window_pool));
            let (_, which) = of(window_pool);
            let back = Conv { rows: 3 * in_height * in_width, ..shape };
            type Back = fn(&[f32], Option<&[u32]>, &mut [f32], &Conv, bool);
            for accumulate in [false, true] {
                let of = |pool: Back| {
                    let mut dx = numbers(3 * 30 * 8);
                    pool(&dy, largest.then_some(&which[..]), &mut dx, &back, accumulate);
                    dx
                };
                assert_eq!(of(window_pool_backward), of(twin::nn::window_pool_backward));
            }
        }
    }
}

//! Fast forms of the convolutions of `twin::nn`: products over patches, the pixels below a window side by side.
//!
//! Patches are made for a few rows at a time, so that they stay in a cache. A picture's rows are one block wherever sums of
//! several windows meet in a pixel, so their order depends on the picture alone.

use super::matrix::{add_product, matrix, matrix_mut, multiply};
use super::rows::{column_sums, store};
use crate::twin::shared::Conv;
use rayon::prelude::*;

/// Rows whose patches are made at once by one thread.
const ROWS: usize = 128;

/// Rows whose patches all threads make for one product.
const SHARED_ROWS: usize = 4096;

/// Writes the pixels below the window of row r.
fn patch(x: &[f32], shape: &Conv, r: usize, patch: &mut [f32]) {
    let inputs = shape.inputs as usize;
    for (tap, to) in patch.chunks_mut(inputs).enumerate() {
        match shape.pixel_below(r, tap) {
            Some(pixel) => to.copy_from_slice(&x[shape.input(pixel, 0)..][..inputs]),
            None => to.fill(0.0),
        }
    }
}

/// z = the products of each window of x with W, and b; no bias if there is none.
pub fn conv(x: &[f32], weight: &[f32], bias: Option<&[f32]>, z: &mut [f32], shape: &Conv) {
    let (outputs, depth, to) = (shape.outputs as usize, shape.depth(), shape.output(1, 0));
    let weight = matrix(weight, [outputs, depth], depth);
    z[..shape.rows as usize * to].par_chunks_mut(ROWS * to).enumerate().for_each(|(block, z)| {
        let rows = z.len() / to;
        let mut patches = vec![0.0; rows * depth];
        patches.chunks_mut(depth).enumerate().for_each(|(r, to)| patch(x, shape, block * ROWS + r, to));
        add_product(matrix(&patches, [rows, depth], depth), weight.t(), 0.0, matrix_mut(z, [rows, outputs], to));
        for row in z.chunks_mut(to) {
            if let Some(bias) = bias {
                row.iter_mut().zip(&bias[..outputs]).for_each(|(z, bias)| *z += bias);
            }
            row[outputs..].fill(0.0);
        }
    });
}

/// dx = what each window's dz gives to the pixels below it; added to what is there where `accumulate` is set.
pub fn conv_backward_input(dz: &[f32], weight: &[f32], dx: &mut [f32], shape: &Conv, accumulate: bool) {
    let [inputs, outputs] = [shape.inputs, shape.outputs].map(|size| size as usize);
    let (depth, from, to) = (shape.depth(), shape.output(1, 0), shape.input(1, 0));
    let [pixels, windows] =
        [[shape.in_height, shape.in_width], [shape.out_height, shape.out_width]].map(|[h, w]| h as usize * w as usize);
    let weight = matrix(weight, [outputs, depth], depth);
    dx[..shape.rows as usize * to].par_chunks_mut(pixels * to).enumerate().for_each(|(picture, dx)| {
        if !accumulate {
            dx.fill(0.0);
        }
        for first in (0..windows).step_by(ROWS) {
            let rows = ROWS.min(windows - first);
            let dz = &dz[(picture * windows + first) * from..];
            let mut patches = vec![0.0; rows * depth];
            add_product(matrix(dz, [rows, outputs], from), weight, 0.0, matrix_mut(&mut patches, [rows, depth], depth));
            for (r, patch) in patches.chunks(depth).enumerate() {
                for (tap, numbers) in patch.chunks(inputs).enumerate() {
                    // Of the first picture, so that the pixel is counted from this picture's first.
                    let Some(pixel) = shape.pixel_below(first + r, tap) else { continue };
                    let dx = &mut dx[pixel * to..][..inputs];
                    dx.iter_mut().zip(numbers).for_each(|(dx, number)| *dx += number);
                }
            }
        }
    });
}

/// dW = dz times the pixels below each window, and db = the column sums of dz; added to what is there where `accumulate` is set.
/// What is frozen is `None`.
pub fn conv_backward_weight(
    dz: &[f32],
    x: &[f32],
    dweight: Option<&mut [f32]>,
    dbias: Option<&mut [f32]>,
    shape: &Conv,
    accumulate: bool,
) {
    let [rows, outputs] = [shape.rows, shape.outputs].map(|size| size as usize);
    let (depth, from) = (shape.depth(), shape.output(1, 0));
    if let Some(dweight) = dweight {
        for first in (0..rows).step_by(SHARED_ROWS) {
            let count = SHARED_ROWS.min(rows - first);
            let mut patches = vec![0.0; count * depth];
            let blocks = patches.par_chunks_mut(depth).enumerate().with_min_len(ROWS);
            blocks.for_each(|(r, to)| patch(x, shape, first + r, to));
            let dz = matrix(&dz[first * from..], [count, outputs], from);
            let kept = if accumulate || first > 0 { 1.0 } else { 0.0 };
            let (patches, dweight) =
                (matrix(&patches, [count, depth], depth), matrix_mut(&mut *dweight, [outputs, depth], depth));
            multiply(dz.t(), patches, kept, dweight, |_, _, _| ());
        }
    }
    if let Some(dbias) = dbias {
        let sums = column_sums(rows, outputs, |r, sums| {
            sums.iter_mut().zip(&dz[r * from..]).for_each(|(sum, d)| *sum += d);
        });
        store(dbias, &sums, accumulate);
    }
}

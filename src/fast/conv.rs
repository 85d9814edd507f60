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

/// Outputs of a group, numbers of a patch, and numbers of a pixel of z and of x.
fn sizes(shape: &Conv) -> [usize; 4] {
    [shape.group_outputs as usize, shape.depth(), shape.output(1, 0), shape.input(1, 0)]
}

/// Writes a group's part of the pixels below the window of row r.
fn patch(x: &[f32], shape: &Conv, [r, group]: [usize; 2], patch: &mut [f32]) {
    let inputs = shape.group_inputs as usize;
    for (tap, to) in patch.chunks_mut(inputs).enumerate() {
        match shape.pixel_below(r, tap) {
            Some(pixel) => to.copy_from_slice(&x[shape.input(pixel, group * inputs)..][..inputs]),
            None => to.fill(0.0),
        }
    }
}

/// z = the products of each window of x with W, and b; no bias if there is none.
pub fn conv(x: &[f32], weight: &[f32], bias: Option<&[f32]>, z: &mut [f32], shape: &Conv) {
    let [outputs, depth, to, _] = sizes(shape);
    z[..shape.rows as usize * to].par_chunks_mut(ROWS * to).enumerate().for_each(|(block, z)| {
        let rows = z.len() / to;
        let mut patches = vec![0.0; rows * depth];
        for group in 0..shape.groups() {
            patches.chunks_mut(depth).enumerate().for_each(|(r, to)| patch(x, shape, [block * ROWS + r, group], to));
            let weight = matrix(&weight[group * outputs * depth..], [outputs, depth], depth);
            let z = matrix_mut(&mut z[group * outputs..], [rows, outputs], to);
            add_product(matrix(&patches, [rows, depth], depth), weight.t(), 0.0, z);
        }
        for row in z.chunks_mut(to) {
            if let Some(bias) = bias {
                row.iter_mut().zip(&bias[..shape.outputs as usize]).for_each(|(z, bias)| *z += bias);
            }
            row[shape.outputs as usize..].fill(0.0);
        }
    });
}

/// dx = what each window's dz gives to the pixels below it; added to what is there where `accumulate` is set.
pub fn conv_backward_input(dz: &[f32], weight: &[f32], dx: &mut [f32], shape: &Conv, accumulate: bool) {
    let ([outputs, depth, from, to], inputs) = (sizes(shape), shape.group_inputs as usize);
    each_picture(dx, shape, accumulate, |windows, dx| {
        let count = windows.len();
        for (group, first) in (0..shape.groups()).flat_map(|group| (0..count).step_by(ROWS).map(move |r| (group, r))) {
            let rows = ROWS.min(count - first);
            let dz = &dz[(windows.start + first) * from + group * outputs..];
            let weight = matrix(&weight[group * outputs * depth..], [outputs, depth], depth);
            let mut patches = vec![0.0; rows * depth];
            add_product(matrix(dz, [rows, outputs], from), weight, 0.0, matrix_mut(&mut patches, [rows, depth], depth));
            for (r, patch) in patches.chunks(depth).enumerate() {
                for (tap, numbers) in patch.chunks(inputs).enumerate() {
                    let Some(pixel) = shape.pixel_below(first + r, tap) else { continue };
                    let dx = &mut dx[pixel * to + group * inputs..][..inputs];
                    dx.iter_mut().zip(numbers).for_each(|(dx, number)| *dx += number);
                }
            }
        }
    });
}

/// Calls `add` for each picture with the rows of its windows and its pixels, which are 0 unless `accumulate` is set. Pixels and
/// windows are counted from the picture's first as those of the first picture are.
fn each_picture(
    dx: &mut [f32],
    shape: &Conv,
    accumulate: bool,
    add: impl Fn(std::ops::Range<usize>, &mut [f32]) + Sync,
) {
    let [pixels, windows] =
        [[shape.in_height, shape.in_width], [shape.out_height, shape.out_width]].map(|[h, w]| h as usize * w as usize);
    let to = shape.input(1, 0);
    dx[..shape.rows as usize * to].par_chunks_mut(pixels * to).enumerate().for_each(|(picture, dx)| {
        if !accumulate {
            dx.fill(0.0);
        }
        add(picture * windows..(picture + 1) * windows, dx);
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
    let ([outputs, depth, from, _], all) = (sizes(shape), shape.rows as usize);
    let parts = dweight.into_iter().flat_map(|dweight| dweight.chunks_mut(outputs * depth));
    for (group, dweight) in parts.take(shape.groups()).enumerate() {
        for first in (0..all).step_by(SHARED_ROWS) {
            let count = SHARED_ROWS.min(all - first);
            let mut patches = vec![0.0; count * depth];
            let blocks = patches.par_chunks_mut(depth).enumerate().with_min_len(ROWS);
            blocks.for_each(|(r, to)| patch(x, shape, [first + r, group], to));
            let dz = matrix(&dz[first * from + group * outputs..], [count, outputs], from);
            let kept = if accumulate || first > 0 { 1.0 } else { 0.0 };
            let (patches, dweight) =
                (matrix(&patches, [count, depth], depth), matrix_mut(&mut *dweight, [outputs, depth], depth));
            multiply(dz.t(), patches, kept, dweight, |_, _, _| ());
        }
    }
    if let Some(dbias) = dbias {
        bias_sums(dz, dbias, shape, accumulate);
    }
}

/// db = the column sums of dz.
fn bias_sums(dz: &[f32], dbias: &mut [f32], shape: &Conv, accumulate: bool) {
    let sums = column_sums(shape.rows as usize, shape.outputs as usize, |r, sums| {
        sums.iter_mut().zip(&dz[shape.output(r, 0)..]).for_each(|(sum, d)| *sum += d);
    });
    store(dbias, &sums, accumulate);
}

/// The weights of a depthwise convolution, a pixel of them for each tap.
fn pixels_of(weight: &[f32], shape: &Conv) -> Vec<f32> {
    let (taps, stride) = (shape.taps(), shape.output(1, 0));
    let mut pixels = vec![0.0; taps * stride];
    for (place, weight) in weight[..shape.outputs as usize * taps].iter().enumerate() {
        pixels[place % taps * stride + place / taps] = *weight;
    }
    pixels
}

/// Adds the products of two pixels to a third.
fn add_products(sums: &mut [f32], a: &[f32], b: &[f32]) {
    sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
}

/// z = the products of each channel's window of x with its weights, and b; no bias if there is none.
pub fn depthwise(x: &[f32], weight: &[f32], bias: Option<&[f32]>, z: &mut [f32], shape: &Conv) {
    let (weights, channels, to) = (pixels_of(weight, shape), shape.outputs as usize, shape.output(1, 0));
    z[..shape.rows as usize * to].par_chunks_mut(to).enumerate().with_min_len(ROWS).for_each(|(r, z)| {
        z.fill(0.0);
        for (tap, weight) in weights.chunks(to).enumerate() {
            if let Some(pixel) = shape.pixel_below(r, tap) {
                add_products(z, &x[pixel * to..], weight);
            }
        }
        if let Some(bias) = bias {
            z.iter_mut().zip(&bias[..channels]).for_each(|(z, bias)| *z += bias);
        }
        z[channels..].fill(0.0);
    });
}

/// dx = what each window's dz gives to the pixels below it; added to what is there where `accumulate` is set.
pub fn depthwise_backward_input(dz: &[f32], weight: &[f32], dx: &mut [f32], shape: &Conv, accumulate: bool) {
    let (weights, to) = (pixels_of(weight, shape), shape.input(1, 0));
    each_picture(dx, shape, accumulate, |windows, dx| {
        for (r, dz) in dz[windows.start * to..windows.end * to].chunks(to).enumerate() {
            for (tap, weight) in weights.chunks(to).enumerate() {
                if let Some(pixel) = shape.pixel_below(r, tap) {
                    add_products(&mut dx[pixel * to..][..to], dz, weight);
                }
            }
        }
    });
}

/// dW and db of each channel; added to what is there where `accumulate` is set. What is frozen is `None`.
pub fn depthwise_backward_weight(
    dz: &[f32],
    x: &[f32],
    dweight: Option<&mut [f32]>,
    dbias: Option<&mut [f32]>,
    shape: &Conv,
    accumulate: bool,
) {
    let (channels, taps, to) = (shape.outputs as usize, shape.taps(), shape.output(1, 0));
    if let Some(dweight) = dweight {
        let pixels = column_sums(shape.rows as usize, taps * to, |r, sums| {
            for (tap, sums) in sums.chunks_mut(to).enumerate() {
                if let Some(pixel) = shape.pixel_below(r, tap) {
                    add_products(sums, &dz[r * to..], &x[pixel * to..]);
                }
            }
        });
        let of_channels: Vec<f32> = (0..channels).flat_map(|c| pixels.iter().skip(c).step_by(to)).copied().collect();
        store(dweight, &of_channels, accumulate);
    }
    if let Some(dbias) = dbias {
        bias_sums(dz, dbias, shape, accumulate);
    }
}

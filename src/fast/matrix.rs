//! Slices as matrices, and their products on every core.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, ShapeBuilder};
use rayon::prelude::*;

/// A thread takes no fewer rows or columns of a product: for fewer it packs more than it multiplies.
const LEAST: usize = 16;

/// How many of so many rows or columns one thread takes: whole tiles of the GEMM crate, where there are several.
fn share(length: usize) -> usize {
    length.div_ceil(rayon::current_num_threads()).next_multiple_of(LEAST)
}

/// The matrix of rows that begin every `stride` numbers.
pub(super) fn matrix(numbers: &[f32], [rows, columns]: [usize; 2], stride: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, columns).strides((stride, 1)), numbers)
        .unwrap_or_else(|_| unreachable!("a slice holds the rows of its shape"))
}

/// The same, to be written.
pub(super) fn matrix_mut(numbers: &mut [f32], [rows, columns]: [usize; 2], stride: usize) -> ArrayViewMut2<'_, f32> {
    ArrayViewMut2::from_shape((rows, columns).strides((stride, 1)), numbers)
        .unwrap_or_else(|_| unreachable!("a slice holds the rows of its shape"))
}

/// The product of two small matrices, row after row.
pub(super) fn product(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> Vec<f32> {
    let (rows, columns) = (a.nrows(), b.ncols());
    let mut c = vec![0.0; rows * columns];
    general_mat_mul(1.0, &a, &b, 0.0, &mut matrix_mut(&mut c, [rows, columns], columns));
    c
}

/// c = a b + kept c, and then `finish` for each part of a row of c, with the row and the column where it begins.
///
/// The threads share the longer side of c. What belongs to that side is packed once, the other matrix by each of them.
pub(super) fn multiply(
    a: ArrayView2<'_, f32>,
    b: ArrayView2<'_, f32>,
    kept: f32,
    mut c: ArrayViewMut2<'_, f32>,
    finish: impl Fn(&mut [f32], usize, usize) + Sync,
) {
    let by_columns = c.ncols() > c.nrows();
    let axis = Axis(usize::from(by_columns));
    let shared = share(c.len_of(axis));
    let mut parts: Vec<_> = c.axis_chunks_iter_mut(axis, shared).collect();
    parts.par_iter_mut().enumerate().for_each(|(part, c)| {
        let first = part * shared;
        let ours = (first..first + c.len_of(axis)).into();
        let (mut our_a, mut our_b) = (a, b);
        if by_columns {
            our_b.slice_axis_inplace(axis, ours)
        } else {
            our_a.slice_axis_inplace(axis, ours)
        }
        general_mat_mul(1.0, &our_a, &our_b, kept, c);
        let (row, column) = if by_columns { (0, first) } else { (first, 0) };
        for (r, numbers) in c.rows_mut().into_iter().enumerate() {
            if let Some(numbers) = numbers.into_slice() {
                finish(numbers, row + r, column);
            }
        }
    });
}

//! Slices as matrices, and how rows are shared out.

use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};

/// Fewer rows are left to one thread, as each packs the other matrix for itself.
const LEAST_ROWS: usize = 16;

/// How many of these rows one thread takes.
pub(super) fn share(rows: usize) -> usize {
    rows.div_ceil(rayon::current_num_threads()).max(LEAST_ROWS)
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

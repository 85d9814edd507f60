//! Slices as matrices, and their products on every core.

use gemm_common::Parallelism;
use gemm_f32::gemm::f32::get_gemm_fn;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, ShapeBuilder, s};
use rayon::prelude::*;

/// Terms of a sum that are added up before they join the others. The GEMM crate picks its own block for longer sums, by
/// the sizes of the product and of the caches.
const TERMS: usize = 512;

/// A thread takes no fewer rows or columns of a product: for fewer it packs more than it multiplies.
const LEAST: usize = 16;

/// Rows of a block of a symmetric product.
const BLOCK: usize = 64;

/// How many of so many rows or columns one thread takes: whole tiles of the GEMM crate, if there are several.
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
    add_product(a, b, 0.0, matrix_mut(&mut c, [rows, columns], columns));
    c
}

/// c = a b + kept c, on one thread. An element's terms are added in their order, in blocks of `TERMS`, each by one
/// fused multiply-add if the processor has it: its bits depend only on its row of a and its column of b.
pub(super) fn add_product(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, kept: f32, mut c: ArrayViewMut2<'_, f32>) {
    let ([m, k], n) = ([a.nrows(), a.ncols()], b.ncols());
    if m == 0 || n == 0 {
        return;
    }
    // The GEMM crate sums the smallest products in another order, by separate code for each kind.
    if k <= 2 || m == 1 || n == 1 || m * n <= 256 {
        return add_padded(a, b, kept, c);
    }
    for (first, (a, b)) in a.axis_chunks_iter(Axis(1), TERMS).zip(b.axis_chunks_iter(Axis(0), TERMS)).enumerate() {
        gemm(a, b, if first == 0 { kept } else { 1.0 }, &mut c);
    }
}

/// The same by a product that is large enough to be added up as all others are.
fn add_padded(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, kept: f32, mut c: ArrayViewMut2<'_, f32>) {
    let (k, m, n) = (a.ncols().max(3), a.nrows().max(17), b.ncols().max(17));
    let [mut wide_a, mut wide_b, mut wide_c] = [[m, k], [k, n], [m, n]].map(Array2::zeros);
    wide_a.slice_mut(s![..a.nrows(), ..a.ncols()]).assign(&a);
    wide_b.slice_mut(s![..b.nrows(), ..b.ncols()]).assign(&b);
    let ours = s![..a.nrows(), ..b.ncols()];
    wide_c.slice_mut(ours).assign(&c);
    add_product(wide_a.view(), wide_b.view(), kept, wide_c.view_mut());
    c.assign(&wide_c.slice(ours));
}

/// c = a b + kept c by the GEMM crate; c is not read where `kept` is 0. The crate writes columns: it makes cᵀ = bᵀ aᵀ.
#[allow(unsafe_code, reason = "the crate has no safe face; ndarray's own products take half as long again")]
fn gemm(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, kept: f32, c: &mut ArrayViewMut2<'_, f32>) {
    let ([m, k], n) = ([a.nrows(), a.ncols()], b.ncols());
    assert!(b.nrows() == k && c.dim() == (m, n), "{m} x {k} by {} x {n} into {:?}", b.nrows(), c.dim());
    let along = |strides: &[isize]| [strides[0], strides[1]];
    let [[a_row, a_column], [b_row, b_column], [c_row, c_column]] =
        [along(a.strides()), along(b.strides()), along(c.strides())];
    let (read, parallelism) = (kept != 0.0, Parallelism::None);
    let (to, lhs, rhs) = (c.as_mut_ptr(), b.as_ptr(), a.as_ptr());
    // SAFETY: the views hold m x k, k x n and m x n numbers at these strides, as asserted above, and c is borrowed
    // exclusively.
    unsafe {
        #[rustfmt::skip]
        get_gemm_fn()(
            n, m, k,
            to, c_row, c_column, read,
            lhs, b_row, b_column,
            rhs, a_row, a_column,
            kept, 1.0, false, false, false, parallelism,
        );
    }
}

/// c = a b + kept c, and then `finish` for each part of a row of c, with the row and the column where it begins.
///
/// The threads share the longer side of c. The matrix of that side is packed once, the other by each thread.
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
        add_product(our_a, our_b, kept, c.view_mut());
        let (row, column) = if by_columns { (0, first) } else { (first, 0) };
        for (r, numbers) in c.rows_mut().into_iter().enumerate() {
            if let Some(numbers) = numbers.into_slice() {
                finish(numbers, row + r, column);
            }
        }
    });
}

/// c = a b + kept c of a symmetric c, on one thread or on all: what is above its diagonal is what is below it. Rows of a block are
/// multiplied up to the block's last column.
pub(super) fn lower_product(
    a: ArrayView2<'_, f32>,
    b: ArrayView2<'_, f32>,
    kept: f32,
    mut c: ArrayViewMut2<'_, f32>,
    is_shared: bool,
) {
    let block = |(number, mut c): (usize, ArrayViewMut2<'_, f32>)| {
        let first = number * BLOCK;
        let last = first + c.nrows();
        add_product(a.slice(s![first..last, ..]), b.slice(s![.., ..last]), kept, c.slice_mut(s![.., ..last]));
    };
    let blocks = c.axis_chunks_iter_mut(Axis(0), BLOCK).enumerate();
    if is_shared {
        // The longest first, so that none is left to one thread at the end.
        let mut blocks: Vec<_> = blocks.collect();
        blocks.reverse();
        blocks.into_par_iter().with_max_len(1).for_each(block);
    } else {
        blocks.for_each(block);
    }
    for row in 1..c.nrows() {
        let (mut above, below) = c.view_mut().split_at(Axis(0), row);
        above.slice_mut(s![.., row]).assign(&below.slice(s![0, ..row]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers whose sums round.
    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        (0..count as u32).map(|i| ((i ^ seed).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0).collect()
    }

    /// Row 0 of a times column 0 of b, in a product of m x k by k x n.
    fn corner(m: usize, k: usize, n: usize, transposed: bool) -> (f32, f64) {
        let (row, column) = (numbers(k, 7), numbers(k, 1_234_567));
        let (mut a, mut b) = (Array2::zeros([m, k]), Array2::zeros([k, n]));
        a.row_mut(0).iter_mut().zip(&row).for_each(|(slot, x)| *slot = *x);
        b.column_mut(0).iter_mut().zip(&column).for_each(|(slot, x)| *slot = *x);
        let standing = b.t().as_standard_layout().into_owned();
        let b = if transposed { standing.t() } else { b.view() };
        let exact = row.iter().zip(&column).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
        (product(a.view(), b)[0], exact)
    }

    #[test]
    fn a_number_has_the_same_bits_in_a_product_of_any_size() {
        for k in [1, 2, 3, 17, 64, 511, 512, 513, 700, 1536] {
            let (first, exact) = corner(64, k, 64, true);
            assert!((f64::from(first) - exact).abs() < 1e-6 * (k as f64), "{k}: {first} for {exact}");
            for (m, n) in
                [(1, 1), (1, 300), (300, 1), (2, 3), (10, 10), (16, 16), (16, 17), (17, 40), (200, 90), (5, 999)]
            {
                for transposed in [false, true] {
                    let (other, _) = corner(m, k, n, transposed);
                    assert_eq!(first.to_bits(), other.to_bits(), "{m} x {k} x {n}, transposed: {transposed}");
                }
            }
        }
    }

    #[test]
    fn what_is_there_is_kept() {
        for size in [1, 3, 20] {
            let (a, b) = (Array2::from_elem([size, size], 2.0), Array2::from_elem([size, size], 3.0));
            let mut c = Array2::from_elem([size, size], 5.0);
            add_product(a.view(), b.view(), 1.0, c.view_mut());
            assert!(c.iter().all(|c| *c == 5.0 + 6.0 * size as f32), "{c}");
        }
    }
}

//! Sums along a row and down columns, in an order that depends on nothing but the sizes.

use rayon::prelude::*;

/// Terms of a row that are added side by side. Term k goes to lane k modulo `LANES`.
const LANES: usize = 16;

/// Fewer rows are left to one thread.
pub(super) const LEAST_ROWS: usize = 16;

/// Rows whose columns are added up in one go.
const ROWS: usize = 64;

/// The sum of what `term` makes of the numbers of two rows of one length, lane by lane and then over the lanes.
#[inline(always)]
pub(super) fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f64 {
    let mut lanes = [0.0f32; LANES];
    let (whole, rest) = a.as_chunks::<LANES>();
    let (whole_b, rest_b) = b.as_chunks::<LANES>();
    for (a, b) in whole.iter().zip(whole_b) {
        for k in 0..LANES {
            lanes[k] += term(a[k], b[k]);
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(rest.iter().zip(rest_b)) {
        *lane += term(*a, *b);
    }
    lanes.iter().map(|lane| f64::from(*lane)).sum()
}

/// The largest number of a row, NaN left aside; −∞ of none.
pub(super) fn largest(row: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = row.as_chunks::<LANES>();
    for numbers in whole {
        for k in 0..LANES {
            lanes[k] = larger(lanes[k], numbers[k]);
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, b| larger(a, *b))
}

/// Sums down columns, to which `add` adds a row. Blocks of rows are added up in parallel, and then added in their order.
pub(super) fn column_sums(rows: usize, columns: usize, add: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let block = |block: usize| {
        let mut sums = vec![0.0f32; columns];
        (block * ROWS..rows.min((block + 1) * ROWS)).for_each(|r| add(r, &mut sums));
        sums
    };
    let blocks: Vec<Vec<f32>> = (0..rows.div_ceil(ROWS)).into_par_iter().map(block).collect();
    let mut totals = vec![0.0f64; columns];
    for sums in &blocks {
        totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += f64::from(*sum));
    }
    totals.into_iter().map(|total| total as f32).collect()
}

/// Writes sums, or adds them to what is there.
pub(super) fn store(slots: &mut [f32], sums: &[f32], accumulate: bool) {
    for (slot, sum) in slots.iter_mut().zip(sums) {
        *slot = *sum + if accumulate { *slot } else { 0.0 };
    }
}

//! Fast form of [`twin::optim::factor_sums`](crate::twin::optim::factor_sums).

use super::rows;
use crate::twin::optim::rule::Factored;
use crate::twin::shared::{Chunk, Factors, Record, Segment, met_gradient, split_control};
use rayon::prelude::*;
use std::ops::Range;

/// The sums of p² and of the direction's square, of every chunk of a segment, chunks shared out among the cores.
#[allow(clippy::too_many_arguments, reason = "the twin's")]
pub fn factor_sums<R: Factored>(
    chunks: &[Chunk],
    control: &[u32],
    state: &[f32],
    params: &[f32],
    grads: &[f32],
    segment: &Segment,
    factors: &[Factors],
    means: &[f32],
    sums: &mut [[f32; 2]],
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    let own = &mut sums[segment.first as usize..][..segment.count as usize];
    own.par_iter_mut().zip(segment.of(chunks)).for_each(|(sum, chunk)| {
        let record = R::prepared(records[chunk.tensor as usize]);
        let own = &factors[chunk.entry as usize];
        let (params, grads) = (&params[chunk.of_params()], &grads[chunk.of_grads(record.grad)]);
        let of_params = rows::sum(params, params, |p, _| p * p);
        let of_steps = match own.is_matrix() {
            false => of_vector::<R>(record, stats.value_bound, grads, &state[own.of_vector(chunk)]),
            true => {
                let kept = Kept { rows: &state[own.of_rows()], columns: &state[own.of_columns()], means };
                let part = |part: RowPart<'_>| {
                    of_row::<R>(record, stats.value_bound, &grads[part.elements], part.columns, part.row)
                };
                kept.parts(own, chunk).map(part).sum()
            }
        };
        *sum = [of_params as f32, of_steps as f32];
    });
}

/// What is kept of a tensor's matrices, and the means of all tensors.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a> {
    pub(super) rows: &'a [f32],
    pub(super) columns: &'a [f32],
    pub(super) means: &'a [f32],
}

/// What a chunk has of a row.
pub(super) struct RowPart<'a> {
    /// The row's factor over the mean.
    pub(super) row: f32,
    /// The factors of its columns.
    pub(super) columns: &'a [f32],
    /// Its elements in the chunk.
    pub(super) elements: Range<usize>,
}

impl<'a> Kept<'a> {
    /// Of each row that a chunk has a part of.
    pub(super) fn parts(self, own: &'a Factors, chunk: &'a Chunk) -> impl Iterator<Item = RowPart<'a>> {
        own.as_rows().parts(chunk).map(move |elements| {
            let [row, column, mean] = own.places(chunk.number * own.chunk + elements.start as u32);
            let (row, column) = (row - own.row_state as usize, column - own.column_state as usize);
            let columns = &self.columns[column..column + elements.len()];
            RowPart { row: self.rows[row] / self.means[mean], columns, elements }
        })
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn of_row<R: Factored>(record: Record, value_bound: f32, grads: &[f32], columns: &[f32], row: f32) -> f64 {
    rows::sum(grads, columns, |g, column| {
        let u = R::direction(&record, met_gradient(&record, value_bound, g), row * column);
        u * u
    })
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn of_vector<R: Factored>(record: Record, value_bound: f32, grads: &[f32], state: &[f32]) -> f64 {
    rows::sum(grads, state, |g, v| {
        let g = met_gradient(&record, value_bound, g);
        let u = R::direction(&record, g, R::second_moment(&record, g, v));
        u * u
    })
}

//! Fast form of [`twin::optim::factor_update`](crate::twin::optim::factor_update).

use super::factor_sums::{Kept, RowPart};
use super::update::parts;
use crate::twin::optim::prepared_by_means;
use crate::twin::optim::rule::{Element, Factored};
use crate::twin::shared::{Chunk, Factors, Record, Segment, lerp, split_control};
use rayon::prelude::*;

/// One step of every chunk of a segment, chunks shared out among the cores.
#[allow(clippy::too_many_arguments, reason = "the twin's")]
pub fn factor_update<R: Factored>(
    chunks: &[Chunk],
    control: &[u32],
    state: &mut [f32],
    params: &mut [f32],
    grads: &[f32],
    segment: &Segment,
    factors: &[Factors],
    means: &[f32],
    average: Option<&mut [f32]>,
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    let chunks = segment.of(chunks);
    let params = parts(params, chunks.iter().map(Chunk::of_params));
    let mut average = average.map(|average| parts(average, chunks.iter().map(Chunk::of_state)).into_iter());
    // A vector's elements have a place each, which is written. Rows and columns have had their turn and are only read.
    let own = |chunk: &Chunk| &factors[chunk.entry as usize];
    let of_vector = |chunk: &Chunk| if own(chunk).is_matrix() { 0..0 } else { own(chunk).of_vector(chunk) };
    let mut matrices: Vec<u32> =
        chunks.iter().filter(|chunk| own(chunk).is_matrix()).map(|chunk| chunk.entry).collect();
    matrices.dedup();
    matrices.sort_unstable();
    matrices.dedup();
    let of_matrix = |entry: &u32| [factors[*entry as usize].of_rows(), factors[*entry as usize].of_columns()];
    let mut vectors = parts(state, chunks.iter().map(of_vector).chain(matrices.iter().flat_map(of_matrix)));
    let kept = vectors.split_off(chunks.len());
    let kept: Vec<Kept<'_>> = kept.as_chunks().0.iter().map(|[rows, columns]| Kept { rows, columns, means }).collect();
    let averages: Vec<Option<&mut [f32]>> = chunks.iter().map(|_| average.as_mut().and_then(Iterator::next)).collect();
    let works: Vec<_> = chunks.iter().zip(params).zip(vectors).zip(averages).collect();
    works.into_par_iter().for_each(|(((chunk, params), vector), average)| {
        let own = own(chunk);
        let record = prepared_by_means::<R>(records[chunk.tensor as usize], own);
        let grads = &grads[chunk.of_grads(record.grad)];
        match matrices.binary_search(&chunk.entry) {
            Err(_) => step_vector::<R>(record, stats.value_bound, vector, params, grads),
            Ok(place) => {
                for RowPart { row, columns, elements } in kept[place].parts(own, chunk) {
                    let (params, grads) = (&mut params[elements.clone()], &grads[elements]);
                    step_row::<R>(record, stats.value_bound, params, grads, columns, row);
                }
            }
        }
        if let Some(average) = average {
            average.iter_mut().zip(params).for_each(|(a, p)| *a = lerp(*a, *p, record.average_rate));
        }
    });
}

/// Most steps clamp no value: their loop asks nothing of an element.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn step_row<R: Factored>(
    record: Record,
    value_bound: f32,
    params: &mut [f32],
    grads: &[f32],
    columns: &[f32],
    row: f32,
) {
    let step = |value_bound: f32, p: &mut f32, g: f32, column: f32| {
        let (g, old) = Element { p: *p, kept: [row * column] }.met(&record, value_bound, g);
        *p = R::stepped(&record, g, old).p;
    };
    let all = params.iter_mut().zip(grads).zip(columns);
    if value_bound > 0.0 || record.coupled_decay != 0.0 {
        all.for_each(|((p, g), column)| step(value_bound, p, *g, *column));
    } else {
        all.for_each(|((p, g), column)| step(0.0, p, *g, *column));
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn step_vector<R: Factored>(record: Record, value_bound: f32, state: &mut [f32], params: &mut [f32], grads: &[f32]) {
    for ((v, p), g) in state.iter_mut().zip(params).zip(grads) {
        let (g, mut old) = Element { p: *p, kept: [*v] }.met(&record, value_bound, *g);
        *v = R::second_moment(&record, g, *v);
        old.kept = [*v];
        *p = R::stepped(&record, g, old).p;
    }
}

//! Fast form of [`twin::optim::factor_rows`](crate::twin::optim::factor_rows).

use super::rows;
use super::update::parts;
use crate::twin::shared::{Chunk, Factors, Record, Segment, met_gradient, split_control};
use rayon::prelude::*;

/// The sums of the squares of each row's gradients, chunks shared out among the cores.
pub fn factor_rows(
    chunks: &[Chunk],
    control: &[u32],
    grads: &[f32],
    segment: &Segment,
    factors: &[Factors],
    sums: &mut [f32],
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    let chunks = segment.of(chunks);
    let of = |chunk: &Chunk| factors[chunk.entry as usize].as_rows();
    let sums = parts(sums, chunks.iter().map(|chunk| of(chunk).sums_of(chunk)));
    sums.into_par_iter().zip(chunks).for_each(|(sums, chunk)| {
        let record = records[chunk.tensor as usize];
        let grads = &grads[chunk.of_grads(record.grad)];
        for (sum, part) in sums.iter_mut().zip(of(chunk).parts(chunk)) {
            *sum = squares(record, stats.value_bound, &grads[part]);
        }
    });
}

/// The sum of the squares of gradients as an update finds them. Most clamp none: that loop asks nothing of an element.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn squares(record: Record, value_bound: f32, grads: &[f32]) -> f32 {
    let square = |g: f32| g * g;
    let sum = match value_bound > 0.0 {
        true => rows::sum(grads, grads, |g, _| square(met_gradient(&record, value_bound, g))),
        false => rows::sum(grads, grads, |g, _| square(met_gradient(&record, 0.0, g))),
    };
    sum as f32
}

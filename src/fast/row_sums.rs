//! Fast form of [`twin::optim::row_sums`](crate::twin::optim::row_sums).

use super::update::parts;
use crate::twin::optim::RowPart;
use crate::twin::optim::rule::ByRows;
use crate::twin::shared::{Chunk, Matrix, Segment, split_control};
use rayon::prelude::*;

/// The four sums that a rule needs over each row that a chunk of a segment has a part of, chunks shared out among the cores:
/// to the bit what the twin gives.
#[allow(clippy::too_many_arguments, reason = "the twin's")]
pub fn row_sums<R: ByRows<SEEN>, const SEEN: usize>(
    chunks: &[Chunk],
    control: &[u32],
    slots: &[&[f32]],
    params: &[f32],
    grads: &[f32],
    segment: &Segment,
    matrices: &[Matrix],
    sums: &mut [[f32; 4]],
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    let chunks = segment.of(chunks);
    let sums = parts(sums, chunks.iter().map(|chunk| matrices[chunk.entry as usize].sums_of(chunk)));
    sums.into_par_iter().zip(chunks).for_each(|(sums, chunk)| {
        let record = R::prepared(records[chunk.tensor as usize]);
        let state = slots.iter().map(|slot| &slot[chunk.of_state()]).collect();
        let part = RowPart { params: &params[chunk.of_params()], grads: &grads[chunk.of_grads(record.grad)], state };
        part.add::<R, SEEN>(&record, stats.value_bound, &matrices[chunk.entry as usize], chunk, sums);
    });
}

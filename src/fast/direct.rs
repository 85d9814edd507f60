//! Fast form of [`twin::optim::direct`](crate::twin::optim::direct).

use super::update::parts;
use crate::twin::optim::rule::{Directed, Element};
use crate::twin::shared::{Chunk, Segment, split_control};
use rayon::prelude::*;

/// The momentum and the direction of every chunk of a segment, chunks shared out among the cores: to the bit what the twin
/// gives.
pub fn direct<R: Directed>(
    chunks: &[Chunk],
    control: &[u32],
    buffer: &mut [f32],
    params: &[f32],
    grads: &[f32],
    segment: &Segment,
    directions: &mut [f32],
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    let chunks = segment.of(chunks);
    let of_state = || chunks.iter().map(Chunk::of_state);
    let (buffer, directions) = (parts(buffer, of_state()), parts(directions, of_state()));
    chunks.par_iter().zip(buffer.into_par_iter().zip(directions)).for_each(|(chunk, (buffer, directions))| {
        let record = R::prepared(records[chunk.tensor as usize]);
        let (params, grads) = (&params[chunk.of_params()], &grads[chunk.of_grads(record.grad)]);
        for ((b, x), (p, g)) in buffer.iter_mut().zip(directions).zip(params.iter().zip(grads)) {
            let (g, old) = Element { p: *p, kept: [*b] }.met(&record, stats.value_bound, *g);
            [*b, *x] = R::directed(&record, g, old);
        }
    });
}

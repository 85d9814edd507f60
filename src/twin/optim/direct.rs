//! Twin of `shaders/optim/direct.wgsl`.

use super::rule::{Directed, Element};
use crate::twin::shared::{Chunk, Segment, split_control};

/// The momentum and the direction of every chunk of a segment.
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
    for chunk in segment.of(chunks) {
        let record = R::prepared(records[chunk.tensor as usize]);
        let (params, grads) = (&params[chunk.of_params()], &grads[chunk.of_grads(record.grad)]);
        let own = buffer[chunk.of_state()].iter_mut().zip(&mut directions[chunk.of_state()]);
        for ((b, x), (p, g)) in own.zip(params.iter().zip(grads)) {
            let (g, old) = Element { p: *p, kept: [*b] }.met(&record, stats.value_bound, *g);
            [*b, *x] = R::directed(&record, g, old);
        }
    }
}

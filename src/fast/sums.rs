//! Fast form of [`twin::optim::sums`](crate::twin::optim::sums).

use crate::twin;
use crate::twin::optim::rule::Summed;
use crate::twin::shared::{Chunk, Segment, Stored};
use rayon::prelude::*;

/// The two sums that a rule needs, of every chunk of a segment, chunks shared out among the cores: to the bit what the twin
/// gives.
pub fn sums<R: Summed<SLOTS>, const SLOTS: usize, S: Stored, P: Stored, G: Stored>(
    chunks: &[Chunk],
    control: &[u32],
    slots: [&[S]; SLOTS],
    params: &[P],
    grads: &[G],
    segment: &Segment,
    sums: &mut [[f32; 2]],
) {
    let own = &mut sums[segment.first as usize..][..segment.count as usize];
    own.par_iter_mut().zip(segment.of(chunks)).for_each(|(sum, chunk)| {
        let alone = Segment { first: 0, count: 1, ..*segment };
        let chunk = std::slice::from_ref(chunk);
        twin::optim::sums::<R, SLOTS, S, P, G>(chunk, control, slots, params, grads, &alone, std::slice::from_mut(sum));
    });
}

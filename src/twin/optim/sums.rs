//! Twin of `shaders/optim/sums.wgsl`.

use super::rule::{Element, Summed};
use crate::twin::shared::{Chunk, Segment, Stored, split_control};

/// The two sums that a rule needs, of every chunk of a segment, at its place in the work list.
pub fn sums<R: Summed<SLOTS>, const SLOTS: usize, S: Stored, P: Stored, G: Stored>(
    chunks: &[Chunk],
    control: &[u32],
    slots: [&[S]; SLOTS],
    params: &[P],
    grads: &[G],
    segment: &Segment,
    sums: &mut [[f32; 2]],
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    for (chunk, sums) in segment.of(chunks).iter().zip(&mut sums[segment.first as usize..]) {
        let record = R::prepared(records[chunk.tensor as usize]);
        let (state, params) = (slots.map(|slot| &slot[chunk.of_state()]), &params[chunk.of_params()]);
        let mut sum = [0.0; 2];
        for (k, (p, g)) in params.iter().zip(&grads[chunk.of_grads(record.grad)]).enumerate() {
            let old = Element { p: p.load(), kept: state.map(|slot| slot[k].load()) };
            let (g, old) = old.met(&record, stats.value_bound, g.load());
            let terms = R::terms(&record, g, old);
            sum = [sum[0] + f64::from(terms[0]), sum[1] + f64::from(terms[1])];
        }
        *sums = sum.map(|sum| sum as f32);
    }
}

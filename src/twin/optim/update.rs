//! Twin of `shaders/optim/update.wgsl`.

use super::rule::{Arithmetic, Element};
use crate::twin::shared::{
    Chunk, OF_PARAMS, Record, Segment, Stored, lerp, rounding_key, rounding_word, split_control,
};

/// One step of every chunk of a segment by a rule. State, parameters and gradients are `f32`, or `u16` for bf16. `average`
/// is there where a group keeps one.
#[allow(clippy::too_many_arguments, reason = "one argument a binding of the shader")]
pub fn update<R: Arithmetic<SLOTS>, const SLOTS: usize, S: Stored, P: Stored, G: Stored>(
    chunks: &[Chunk],
    control: &[u32],
    mut slots: [&mut [S]; SLOTS],
    params: &mut [P],
    grads: &[G],
    segment: &Segment,
    mut average: Option<&mut [f32]>,
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    for chunk in segment.of(chunks) {
        let record = R::prepared(records[chunk.tensor as usize]);
        let stretch = Stretch {
            slots: slots.each_mut().map(|slot| &mut slot[chunk.of_state()]),
            params: &mut params[chunk.of_params()],
            grads: &grads[chunk.of_grads(record.grad)],
            average: average.as_mut().map(|average| &mut average[chunk.of_state()]),
        };
        stretch.step::<R>(chunk, &record, stats.value_bound, segment.seed);
    }
}

/// What a chunk steps.
pub(crate) struct Stretch<'a, const SLOTS: usize, S, P, G> {
    pub(crate) slots: [&'a mut [S]; SLOTS],
    pub(crate) params: &'a mut [P],
    pub(crate) grads: &'a [G],
    pub(crate) average: Option<&'a mut [f32]>,
}

impl<const SLOTS: usize, S: Stored, P: Stored, G: Stored> Stretch<'_, SLOTS, S, P, G> {
    pub(crate) fn step<R: Arithmetic<SLOTS>>(mut self, chunk: &Chunk, record: &Record, value_bound: f32, seed: u32) {
        let key = rounding_key(seed, chunk.tensor, record.count, chunk.number) ^ OF_PARAMS;
        for (k, (p, g)) in self.params.iter_mut().zip(self.grads).enumerate() {
            let old = Element { p: p.load(), kept: self.slots.each_ref().map(|slot| slot[k].load()) };
            let new = old.updated::<R>(record, value_bound, g.load());
            for (slot, kept) in self.slots.iter_mut().zip(new.kept) {
                slot[k] = S::store(kept);
            }
            *p = P::store_by(new.p, || rounding_word(key, k as u32));
            if let Some(average) = &mut self.average {
                average[k] = lerp(average[k], new.p, record.average_rate);
            }
        }
    }
}

//! Twin of `shaders/optim/adamw.wgsl`.

use crate::twin::shared::{
    Chunk, Element, OF_PARAMS, Record, Segment, Stored, lerp, rounding_key, rounding_word, split_control,
};

/// One step of every chunk of a segment. `v_max` is there where a group uses amsgrad. Moments, parameters and gradients
/// are `f32`, or `u16` for bf16. `average` is there where a group keeps one.
#[allow(clippy::too_many_arguments, reason = "one argument a binding of the shader, in its order")]
pub fn adamw<S: Stored, P: Stored, G: Stored>(
    chunks: &[Chunk],
    control: &[u32],
    m: &mut [S],
    v: &mut [S],
    params: &mut [P],
    grads: &[G],
    segment: &Segment,
    mut v_max: Option<&mut [S]>,
    mut average: Option<&mut [f32]>,
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    for chunk in segment.of(chunks) {
        let record = &records[chunk.tensor as usize];
        let stretch = Stretch {
            m: &mut m[chunk.of_state()],
            v: &mut v[chunk.of_state()],
            params: &mut params[chunk.of_params()],
            grads: &grads[chunk.of_grads(record.grad)],
            v_max: v_max.as_mut().map(|v_max| &mut v_max[chunk.of_state()]),
            average: average.as_mut().map(|average| &mut average[chunk.of_state()]),
        };
        stretch.step(chunk, record, stats.value_bound, segment.seed);
    }
}

/// What a chunk steps.
pub(crate) struct Stretch<'a, S, P, G> {
    pub(crate) m: &'a mut [S],
    pub(crate) v: &'a mut [S],
    pub(crate) params: &'a mut [P],
    pub(crate) grads: &'a [G],
    pub(crate) v_max: Option<&'a mut [S]>,
    pub(crate) average: Option<&'a mut [f32]>,
}

impl<S: Stored, P: Stored, G: Stored> Stretch<'_, S, P, G> {
    pub(crate) fn step(mut self, chunk: &Chunk, record: &Record, value_bound: f32, seed: u32) {
        let key = rounding_key(seed, chunk.tensor, record.count, chunk.number) ^ OF_PARAMS;
        let moments = self.m.iter_mut().zip(self.v.iter_mut());
        for (k, (((m, v), p), g)) in moments.zip(self.params.iter_mut()).zip(self.grads).enumerate() {
            let maximum = self.v_max.as_ref().map(|v_max| v_max[k].load());
            let old = Element { p: p.load(), m: m.load(), v: v.load(), v_max: maximum.unwrap_or_default() };
            let new = old.stepped(record, value_bound, g.load(), maximum.is_some());
            (*m, *v) = (S::store(new.m), S::store(new.v));
            *p = P::store_by(new.p, || rounding_word(key, k as u32));
            if let Some(v_max) = &mut self.v_max {
                v_max[k] = S::store(new.v_max);
            }
            if let Some(average) = &mut self.average {
                average[k] = lerp(average[k], new.p, record.average_rate);
            }
        }
    }
}

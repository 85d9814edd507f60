//! Twin of `shaders/optim/adamw.wgsl`.

use crate::twin::shared::{
    Chunk, Element, OF_PARAMS, Segment, Stored, lerp, rounding_key, rounding_word, split_control,
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
        let key = rounding_key(segment.seed, chunk.tensor, record.count, chunk.number) ^ OF_PARAMS;
        for k in 0..chunk.length as usize {
            let s = chunk.state as usize + k;
            let p = &mut params[chunk.param as usize + k];
            let maximum = v_max.as_ref().map(|v_max| v_max[s].load());
            let old = Element { p: p.load(), m: m[s].load(), v: v[s].load(), v_max: maximum.unwrap_or_default() };
            let g = grads[chunk.grad as usize + k].load();
            let new = old.stepped(record, stats.value_bound, g, maximum.is_some());
            (m[s], v[s]) = (S::store(new.m), S::store(new.v));
            *p = P::store_by(new.p, || rounding_word(key, k as u32));
            if let Some(v_max) = &mut v_max {
                v_max[s] = S::store(new.v_max);
            }
            if let Some(average) = &mut average {
                average[s] = lerp(average[s], new.p, record.average_rate);
            }
        }
    }
}

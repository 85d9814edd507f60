//! Twin of `shaders/optim/adamw.wgsl`.

use crate::twin::shared::{Chunk, Element, Segment, Stored, lerp, split_control};

/// One step of every chunk of a segment. `v_max` is there where a group uses amsgrad. Moments are `f32`, or `u16` for
/// bf16. `average` is there where a group keeps one.
#[allow(clippy::too_many_arguments, reason = "one argument a binding of the shader, in its order")]
pub fn adamw<S: Stored>(
    chunks: &[Chunk],
    control: &[u32],
    m: &mut [S],
    v: &mut [S],
    params: &mut [f32],
    grads: &[f32],
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
        for k in 0..chunk.length as usize {
            let s = chunk.state as usize + k;
            let p = &mut params[chunk.param as usize + k];
            let maximum = v_max.as_ref().map(|v_max| v_max[s].load());
            let old = Element { p: *p, m: m[s].load(), v: v[s].load(), v_max: maximum.unwrap_or_default() };
            let g = grads[chunk.grad as usize + k];
            let new = old.stepped(record, stats.value_bound, g, maximum.is_some());
            (*p, m[s], v[s]) = (new.p, S::store(new.m), S::store(new.v));
            if let Some(v_max) = &mut v_max {
                v_max[s] = S::store(new.v_max);
            }
            if let Some(average) = &mut average {
                average[s] = lerp(average[s], *p, record.average_rate);
            }
        }
    }
}

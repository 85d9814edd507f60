//! Twin of `shaders/optim/adamw_int8.wgsl`.

use super::rule::{AdamW, Element};
use crate::twin::shared::{
    BLOCK, Block, CODED, Chunk, Code, NEAREST, OF_PARAMS, Record, Segment, Stored, lerp, rounding_key, rounding_word,
    split_control,
};

/// One step of every chunk of a segment. `v_max` is there where a group uses amsgrad, `average` where a group keeps one.
#[allow(clippy::too_many_arguments, reason = "one argument a binding of the shader, in its order")]
pub fn adamw_int8<P: Stored, G: Stored>(
    chunks: &[Chunk],
    control: &[u32],
    m: &mut [Block],
    v: &mut [Block],
    params: &mut [P],
    grads: &[G],
    segment: &Segment,
    mut v_max: Option<&mut [Block]>,
    mut average: Option<&mut [f32]>,
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    for chunk in segment.of(chunks) {
        let record = &records[chunk.tensor as usize];
        let grads = &grads[chunk.of_grads(record.grad)];
        let key = rounding_key(segment.seed, chunk.tensor, record.count, chunk.number);
        for first in (0..chunk.length as usize).step_by(CODED) {
            let (s, place) = ((chunk.state as usize + first) / BLOCK, first % BLOCK / CODED);
            let old_m = m[s].numbers(place, Code::Signed);
            let old_v = v[s].numbers(place, Code::Unsigned);
            let old_v_max = v_max.as_ref().map(|v_max| v_max[s].numbers(place, Code::Unsigned));
            let mut new = [[0.0; 3]; CODED];
            for k in 0..CODED.min(chunk.length as usize - first) {
                let p = &mut params[chunk.param as usize + first + k];
                let v_max = old_v_max.map(|v_max| v_max[k]);
                let g = grads[first + k].load();
                let next = stepped(record, stats.value_bound, g, p.load(), [old_m[k], old_v[k]], v_max);
                new[k] = next.kept;
                *p = P::store_by(next.p, || rounding_word(key ^ OF_PARAMS, (first + k) as u32));
                if let Some(average) = &mut average {
                    let a = &mut average[chunk.state as usize + first + k];
                    *a = lerp(*a, next.p, record.average_rate);
                }
            }
            let word = |k: usize| rounding_word(key, (first + k) as u32);
            m[s].put(place, &new.map(|[m, ..]| m), Code::Signed, |k| word(k) & 0xffff);
            v[s].put(place, &new.map(|[_, v, _]| v), Code::Unsigned, |k| word(k) >> 16);
            if let Some(v_max) = &mut v_max {
                v_max[s].put(place, &new.map(|[.., v_max]| v_max), Code::Unsigned, |_| NEAREST);
            }
        }
    }
}

/// The step of AdamW with a maximum or without; without one it is 0.
fn stepped(record: &Record, bound: f32, g: f32, p: f32, [m, v]: [f32; 2], v_max: Option<f32>) -> Element<3> {
    match v_max {
        Some(v_max) => Element { p, kept: [m, v, v_max] }.updated::<AdamW>(record, bound, g),
        None => {
            let Element { p, kept: [m, v] } = Element { p, kept: [m, v] }.updated::<AdamW>(record, bound, g);
            Element { p, kept: [m, v, 0.0] }
        }
    }
}

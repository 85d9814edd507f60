//! Twin of `shaders/optim/adamw.wgsl`.

use crate::twin::shared::{AMSGRAD, Chunk, Segment, Stored, clamp_value, lerp, split_control};

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
            let mut g = grads[chunk.grad as usize + k];
            if stats.value_bound > 0.0 {
                g = clamp_value(g, stats.value_bound);
            }
            g *= record.scale;
            if record.coupled_decay == 0.0 {
                *p *= record.decay;
            } else {
                g += record.coupled_decay * *p;
            }
            let (m_old, v_old) = (m[s].load(), v[s].load());
            let m_new = m_old + record.one_minus_beta1 * (g - m_old);
            let v_new = record.beta2 * v_old + (record.one_minus_beta2 * g) * g;
            (m[s], v[s]) = (S::store(m_new), S::store(v_new));
            let mut root = v_new;
            if let Some(v_max) = &mut v_max
                && record.flags & AMSGRAD != 0
            {
                root = if v_new.is_nan() { v_new } else { v_max[s].load().max(v_new) };
                v_max[s] = S::store(root);
            }
            *p -= record.step_size * (m_new / (root.sqrt() * record.root_scale + record.eps));
            if let Some(average) = &mut average {
                average[s] = lerp(average[s], *p, record.average_rate);
            }
        }
    }
}

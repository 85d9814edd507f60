//! Twin of `shaders/optim/adamw.wgsl`.

use crate::twin::shared::{AMSGRAD, Chunk, Segment, clamp_value, split_control};

/// One step of every chunk of a segment. `v_max` is there where a group uses amsgrad.
#[allow(clippy::too_many_arguments, reason = "one argument a binding of the shader, in its order")]
pub fn adamw(
    chunks: &[Chunk],
    control: &[u32],
    m: &mut [f32],
    v: &mut [f32],
    params: &mut [f32],
    grads: &[f32],
    segment: &Segment,
    mut v_max: Option<&mut [f32]>,
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
            m[s] += record.one_minus_beta1 * (g - m[s]);
            v[s] = record.beta2 * v[s] + (record.one_minus_beta2 * g) * g;
            let mut root = v[s];
            if let Some(v_max) = &mut v_max
                && record.flags & AMSGRAD != 0
            {
                v_max[s] = if v[s].is_nan() { v[s] } else { v_max[s].max(v[s]) };
                root = v_max[s];
            }
            *p -= record.step_size * (m[s] / (root.sqrt() * record.root_scale + record.eps));
        }
    }
}

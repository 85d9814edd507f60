//! Twin of `shaders/optim/sgd.wgsl`.

use crate::twin::shared::{Chunk, NESTEROV, Record, Segment, clamp_value, lerp, split_control};

/// One step of every chunk of a segment. `average` is there where a group keeps one.
pub fn sgd(
    chunks: &[Chunk],
    control: &[u32],
    buffers: &mut [f32],
    params: &mut [f32],
    grads: &[f32],
    segment: &Segment,
    mut average: Option<&mut [f32]>,
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    for chunk in segment.of(chunks) {
        let record = &records[chunk.tensor as usize];
        let grads = &grads[chunk.of_grads(record.grad)];
        for k in 0..chunk.length as usize {
            let p = &mut params[chunk.param as usize + k];
            let mut g = grads[k];
            if stats.value_bound > 0.0 {
                g = clamp_value(g, stats.value_bound);
            }
            g *= record.scale;
            if record.coupled_decay != 0.0 {
                g += record.coupled_decay * *p;
            }
            let s = chunk.state as usize + k;
            *p -= record.step_size * direction(record, g, &mut buffers[s]);
            if let Some(average) = &mut average {
                average[s] = lerp(average[s], *p, record.average_rate);
            }
        }
    }
}

fn direction(record: &Record, g: f32, buffer: &mut f32) -> f32 {
    if record.momentum == 0.0 {
        return g;
    }
    *buffer = if record.buffered > 1 { record.momentum * *buffer + record.one_minus_dampening * g } else { g };
    if record.flags & NESTEROV != 0 { g + record.momentum * *buffer } else { *buffer }
}

//! Twin of `shaders/optim/clip.wgsl`.

use crate::twin::shared::{Chunk, Segment, clamp_value, split_control};

/// Clips the gradients of a segment where they are.
pub fn clip(chunks: &[Chunk], control: &[u32], grads: &mut [f32], segment: &Segment) {
    let (stats, _, _) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    for chunk in segment.of(chunks) {
        for g in &mut grads[chunk.of_grads(0)] {
            *g = if stats.value_bound > 0.0 { clamp_value(*g, stats.value_bound) } else { stats.clip * *g };
        }
    }
}

//! Twin of `shaders/nn/gather_cached.wgsl`.

use crate::twin::shared::{GatherCached, Position, pcg, shuffled};

/// Gathers the batch's rows in this page; in order if `shuffle` is not set.
pub fn gather_cached(cached: &[f32], out: &mut [f32], position: &Position, shape: &GatherCached, shuffle: bool) {
    let width = shape.quads as usize * 4;
    let key = pcg(shape.seed ^ pcg(position.epoch));
    for r in 0..shape.rows {
        let place = position.batch % shape.batches * shape.rows + r;
        let row = &mut out[r as usize * width..][..width];
        if place >= shape.samples {
            row.fill(0.0);
            continue;
        }
        let sample = if shuffle { shuffled(place, shape.samples, key) } else { place };
        let place = sample.wrapping_sub(shape.first);
        if place < shape.count {
            row.copy_from_slice(&cached[place as usize * width..][..width]);
        }
    }
}

//! Twin of `shaders/optim/norm_fold.wgsl`.

use crate::twin::shared::{Chunk, NO_GROUP, Partial, Segment, Squares, split_control_mut};

/// Adds up the squares of gradients (`kind` 2; 0: none), and finds the first non-finite group.
pub fn norm_fold(
    chunks: &[Chunk],
    control: &mut [u32],
    squares: &[Squares],
    segment: &Segment,
    bounds: &[u32],
    kind: u32,
) {
    let (_, partials, _) = split_control_mut(control);
    let partials = &mut partials[segment.place as usize..][..segment.partials as usize];
    for (place, partial) in partials.iter_mut().enumerate().skip(segment.first_partial as usize) {
        if bounds[place] >= segment.first + segment.count {
            break;
        }
        let [start, from_chunk, to_chunk] = segment.chunks_of(place, bounds);
        let mut total = if from_chunk > start { *partial } else { Partial { sum: 0.0, bad_group: NO_GROUP } };
        for chunk in chunks.get(from_chunk as usize..to_chunk as usize).unwrap_or(&[]) {
            let these = &squares[chunk.grad as usize..][..chunk.length as usize];
            if kind != 0 {
                total.sum += these.iter().map(|one| f64::from(one.sum)).sum::<f64>() as f32;
            }
            if these.iter().any(|one| one.is_bad()) {
                total.bad_group = total.bad_group.min(chunk.group);
            }
        }
        *partial = total;
    }
}

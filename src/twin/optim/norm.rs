//! Twin of `shaders/optim/norm.wgsl`.

use crate::twin::shared::{Chunk, NO_GROUP, Partial, Segment, Stored, TensorEntry, larger, split_control_mut};

/// Partial sums of the gradients (`kind` 1: |g|, 2: g², 3: largest |g|, 4: |g| to the power `order`, 5: 1 if one is not 0, 0: none), and the first non-finite group.
#[allow(clippy::too_many_arguments, reason = "one argument a binding of the shader, and the norm's kind and order")]
pub fn norm<G: Stored>(
    chunks: &[Chunk],
    control: &mut [u32],
    grads: &[G],
    segment: &Segment,
    tensors: &[TensorEntry],
    bounds: &[u32],
    (kind, order): (u32, f32),
) {
    let (_, partials, _) = split_control_mut(control);
    let last = segment.first + segment.count;
    for (place, partial) in partials.iter_mut().enumerate().skip(segment.first_partial as usize) {
        if place as u32 >= segment.partials || bounds[place] >= last {
            break;
        }
        let [start, from_chunk, to_chunk] = segment.chunks_of(place, bounds);
        let mut total = if from_chunk > start { *partial } else { Partial { sum: 0.0, bad_group: NO_GROUP } };
        for chunk in chunks.get(from_chunk as usize..to_chunk as usize).unwrap_or(&[]) {
            let values = grads[chunk.of_grads(tensors[chunk.entry as usize].grad)].iter().map(|g| g.load());
            // Whether a gradient is not 0 is 1 at most.
            total.sum = join(if kind == 5 { 3 } else { kind }, total.sum, of_chunk(kind, order, values.clone()));
            if values.clone().any(|g| !g.is_finite()) {
                total.bad_group = total.bad_group.min(chunk.group);
            }
        }
        *partial = total;
    }
}

fn of_chunk(kind: u32, order: f32, values: impl Iterator<Item = f32>) -> f32 {
    match kind {
        1 => values.map(|g| f64::from(g.abs())).sum::<f64>() as f32,
        // A square is rounded to f32, as on the device: it overflows to infinity where torch's does.
        2 => values.map(|g| f64::from(g * g)).sum::<f64>() as f32,
        4 => values.map(|g| f64::from(if g.is_finite() { g.abs().powf(order) } else { g.abs() })).sum::<f64>() as f32,
        3 => values.fold(0.0, |largest, g| join(3, largest, g)),
        5 => f32::from(u8::from({ values }.any(|g| g != 0.0))),
        _ => 0.0,
    }
}

/// Adds two partial results of a norm.
pub fn join(kind: u32, a: f32, b: f32) -> f32 {
    match kind {
        3 => larger(a, b),
        _ => a + b,
    }
}

//! Twin of `shaders/nn/gather.wgsl`.

use crate::twin::shared::{Gather, Position, TableHeader, pcg, shuffled};

/// Gathers the step's batch from the data set; in its own order where `shuffle` is not set.
#[allow(clippy::too_many_arguments, reason = "one argument a binding of the shader, in its order")]
pub fn gather(
    data: &[f32],
    labels: &[u32],
    x: &mut [f32],
    y: &mut [u32],
    position: &mut Position,
    header: &TableHeader,
    shape: &Gather,
    slot: u32,
    shuffle: bool,
) {
    let step = header.first_step.wrapping_add(slot);
    let epoch = step / shape.steps_per_epoch;
    let batch = step % shape.steps_per_epoch * shape.micro_batches + shape.micro;
    let width = shape.quads as usize * 4;
    for r in 0..shape.rows {
        let place = batch * shape.rows + r;
        let sample = if shuffle { shuffled(place, shape.samples, pcg(shape.seed ^ pcg(epoch))) } else { place };
        let (r, sample) = (r as usize, sample as usize);
        x[r * width..][..width].copy_from_slice(&data[sample * width..][..width]);
        y[r] = labels[sample];
    }
    *position = Position { step, epoch, batch, pad0: 0 };
}

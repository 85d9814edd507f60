//! Twin of `shaders/nn/gather.wgsl`.

use crate::twin::shared::{Gather, IGNORED, Position, TableHeader, pcg, samples_in, shuffled};

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
        let order = |place| if shuffle { shuffled(place, shape.samples, pcg(shape.seed ^ pcg(epoch))) } else { place };
        let sample = (place < shape.samples).then(|| order(place) as usize);
        let row = &mut x[r as usize * width..][..width];
        match sample {
            Some(sample) => row.copy_from_slice(&data[sample * width..][..width]),
            None => row.fill(0.0),
        }
        y[r as usize] = sample.map_or(IGNORED, |sample| labels[sample]);
    }
    let counting = samples_in(batch - shape.micro, shape.micro_batches, shape.rows, shape.samples);
    *position = Position { step, epoch, batch, counting };
}

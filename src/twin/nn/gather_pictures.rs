//! Twin of `shaders/nn/gather_pictures.wgsl`.

use crate::twin::shared::{GatherPictures, IGNORED, Position, TableHeader, pcg, samples_in, shuffled};

/// Gathers the step's batch of pictures from their bytes; in its own order where `shuffle` is not set.
#[allow(clippy::too_many_arguments, reason = "one argument a binding of the shader, in its order")]
pub fn gather_pictures(
    data: &[u32],
    labels: &[u32],
    x: &mut [f32],
    y: &mut [u32],
    position: &mut Position,
    header: &TableHeader,
    shape: &GatherPictures,
    slot: u32,
    shuffle: bool,
) {
    let step = header.first_step.wrapping_add(slot);
    let epoch = step / shape.steps_per_epoch;
    let batch = step % shape.steps_per_epoch * shape.micro_batches + shape.micro;
    let pixels = shape.pixels as usize;
    for r in 0..shape.rows {
        let place = batch * shape.rows + r;
        let order = |place| if shuffle { shuffled(place, shape.samples, pcg(shape.seed ^ pcg(epoch))) } else { place };
        let sample = (place < shape.samples).then(|| order(place) as usize);
        let picture = &mut x[r as usize * pixels * 4..][..pixels * 4];
        match sample {
            Some(sample) => {
                let bytes = data[sample * pixels..][..pixels].iter().flat_map(|pixel| pixel.to_le_bytes());
                for (place, (slot, byte)) in picture.iter_mut().zip(bytes).enumerate() {
                    *slot = f32::from(byte) * shape.scale[place % 4] + shape.shift[place % 4];
                }
            }
            None => picture.fill(0.0),
        }
        y[r as usize] = sample.map_or(IGNORED, |sample| labels[sample]);
    }
    let counting = samples_in(batch - shape.micro, shape.micro_batches, shape.rows, shape.samples);
    *position = Position { step, epoch, batch, counting };
}

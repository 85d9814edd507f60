//! Twin of `shaders/nn/gather_sequences.wgsl`.

use crate::twin::shared::{GatherSequences, IGNORED, Position, TYPE_SHIFT, TableHeader, pcg, samples_in, shuffled};

/// Gathers the step's sequences from the set; in their own order where `shuffle` is not set.
#[allow(clippy::too_many_arguments, reason = "one argument a binding of the shader, in its order")]
pub fn gather_sequences(
    sequences: &[u32],
    tokens: &mut [u32],
    mask: &mut [u32],
    types: &mut [u32],
    labels: &mut [u32],
    position: &mut Position,
    header: &TableHeader,
    shape: &GatherSequences,
    slot: u32,
    shuffle: bool,
) {
    let step = header.first_step.wrapping_add(slot);
    let epoch = step / shape.steps_per_epoch;
    let batch = step % shape.steps_per_epoch * shape.micro_batches + shape.micro;
    let context = shape.context as usize;
    for r in 0..shape.rows {
        let place = batch * shape.rows + r;
        let order = |place| if shuffle { shuffled(place, shape.samples, pcg(shape.seed ^ pcg(epoch))) } else { place };
        let record =
            (place < shape.samples).then(|| &sequences[order(place) as usize * (2 + context)..][..2 + context]);
        let r = r as usize;
        labels[r] = record.map_or(IGNORED, |record| record[0]);
        for i in 0..context {
            let word = record.filter(|record| i < record[1] as usize).map(|record| record[2 + i]);
            let at = r * context + i;
            tokens[at] = word.unwrap_or(0) & ((1 << TYPE_SHIFT) - 1);
            types[at] = word.unwrap_or(0) >> TYPE_SHIFT;
            mask[at] = u32::from(word.is_some());
        }
    }
    let counting = samples_in(batch - shape.micro, shape.micro_batches, shape.rows, shape.samples);
    *position = Position { step, epoch, batch, counting };
}

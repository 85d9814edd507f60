//! Twin of `shaders/nn/gather_tokens.wgsl`.

use crate::twin::shared::{GatherTokens, IGNORED, Position, TableHeader, pcg, samples_in, shuffled};

/// Gathers the step's windows from the stream of tokens; in their own order where `shuffle` is not set.
#[allow(clippy::too_many_arguments, reason = "one argument a binding of the shader, in its order")]
pub fn gather_tokens(
    tokens: &[u32],
    inputs: &mut [u32],
    targets: &mut [u32],
    mask: &mut [u32],
    position: &mut Position,
    header: &TableHeader,
    shape: &GatherTokens,
    slot: u32,
    shuffle: bool,
) {
    let step = header.first_step.wrapping_add(slot);
    let epoch = step / shape.steps_per_epoch;
    let batch = step % shape.steps_per_epoch * shape.micro_batches + shape.micro;
    for r in 0..shape.rows {
        let place = batch * shape.rows + r;
        let window = (place < shape.samples).then(|| start(place, epoch, shape, shuffle));
        for i in 0..shape.context {
            let at = (r * shape.context + i) as usize;
            let t = window.map(|start| start + i).filter(|t| t + 1 < shape.tokens);
            (inputs[at], targets[at], mask[at]) = match t {
                Some(t) => (tokens[t as usize], tokens[t as usize + 1], 1),
                None => (0, IGNORED, 0),
            };
        }
    }
    let first = batch - shape.micro;
    let windows = samples_in(first, shape.micro_batches, shape.rows, shape.samples);
    let left = (shape.tokens - 1).saturating_sub(first * shape.rows * shape.context);
    *position = Position { step, epoch, batch, counting: left.min(windows * shape.context) };
}

/// The start of the window at this place of the epoch's order.
fn start(place: u32, epoch: u32, shape: &GatherTokens, shuffle: bool) -> u32 {
    if !shuffle {
        return place * shape.context;
    }
    let key = pcg(shape.seed ^ pcg(epoch));
    pcg(!key) % shape.offsets + shuffled(place, shape.samples, key) * shape.context
}

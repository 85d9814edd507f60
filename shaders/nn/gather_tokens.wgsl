// Gathers a batch for a language model from the stream of tokens on the device: the step's number decides the windows,
// without an upload.
//
//   batch = step mod batches_per_epoch · micro_batches + micro           epoch = step div batches_per_epoch
//   t = offset_epoch + order_epoch(batch · rows + r) · context + i       order: a seeded bijection, new every epoch
//   inputs[r, i] = tokens[t]          targets[r, i] = tokens[t + 1]
//
// Windows tile the stream; the offset, below `offsets`, moves their borders every epoch. With SHUFFLE = 0 they are in
// order from token 0 on (evaluation). A token without a successor, and rows after the last window, are padding: token
// 0, target IGNORED, mask 0. All other targets count; when training, windows are whole.
//
//   0 tokens   [tokens]
//   1 inputs   [rows, context]
//   2 targets  [rows, context]
//   3 mask     [rows, context]        1: a token, 0: padding
//   4 position
//   5 table                           only its first step is read
//   6 shape
//   7 clock
#import metrics
#import table
#import rng
#import clock
#import tokens

struct GatherTokens {          // 48 bytes
    tokens: u32,               // in the stream
    context: u32,
    samples: u32,              // windows
    offsets: u32,              // offset + samples · context < tokens for each offset below this, when training
    rows: u32,                 // of one micro-batch
    steps_per_epoch: u32,
    micro_batches: u32,        // in a step
    micro: u32,                // which one this is
    seed: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

override WORKGROUP: u32 = 64u;
override SHUFFLE: u32 = 1u;

@group(0) @binding(0) var<storage, read> tokens: array<u32>;
@group(0) @binding(1) var<storage, read_write> inputs: array<u32>;
@group(0) @binding(2) var<storage, read_write> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> mask: array<u32>;
@group(0) @binding(4) var<storage, read_write> position: Position;
@group(0) @binding(5) var<storage, read> table: Table;
@group(0) @binding(6) var<uniform> shape: GatherTokens;
@group(0) @binding(7) var<uniform> clock: Clock;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    let r = at / shape.context;
    if (r >= shape.rows) {
        return;
    }
    let step = table.first_step + clock.slot;
    let epoch = step / shape.steps_per_epoch;
    let batch = step % shape.steps_per_epoch * shape.micro_batches + shape.micro;
    let place = batch * shape.rows + r;
    var t = shape.tokens;
    if (place < shape.samples) {
        t = start(place, epoch) + at % shape.context;
    }
    if (t + 1u < shape.tokens) {
        inputs[at] = tokens[t];
        targets[at] = tokens[t + 1u];
        mask[at] = 1u;
    } else {
        inputs[at] = 0u;
        targets[at] = IGNORED;
        mask[at] = 0u;
    }
    if (at == 0u) {
        let first = batch - shape.micro;
        let windows = samples_in(first, shape.micro_batches, shape.rows, shape.samples);
        let counting = min(windows * shape.context, shape.tokens - 1u - first * shape.rows * shape.context);
        position = Position(step, epoch, batch, counting);
    }
}

// The start of the window at this place of the epoch's order.
fn start(place: u32, epoch: u32) -> u32 {
    if (SHUFFLE == 0u) {
        return place * shape.context;
    }
    let key = pcg(shape.seed ^ pcg(epoch));
    // The order's own rounds begin at pcg(key); the offset must not go with them.
    return pcg(~key) % shape.offsets + shuffled(place, shape.samples, key) * shape.context;
}

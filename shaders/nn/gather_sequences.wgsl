// Gathers a batch of labelled sequences from the set on the device: the step's number decides the rows, without an
// upload.
//
//   batch = step mod batches_per_epoch · micro_batches + micro           epoch = step div batches_per_epoch
//   s = order_epoch(batch · rows + r)                                    order: a seeded bijection, new every epoch
//   tokens[r, i], types[r, i], mask[r, i] = sequence s at i, 1           i < length of s, else 0, 0, 0
//   labels[r] = label of s
//
// With SHUFFLE = 0 sequences are in order (evaluation). Rows after the last one have the label IGNORED and a mask of
// zeros; all others count. A sequence is one record, label and types packed with its tokens: as separate arrays they
// and the results would be ten storage buffers.
//
//   0 sequences  [samples, 2 + context]  label, length, then token | type << TYPE_SHIFT
//   1 tokens     [rows, context]
//   2 mask       [rows, context]         1: a token, 0: padding
//   3 types      [rows, context]
//   4 labels     [rows]
//   5 position
//   6 table                              only its first step is read
//   7 shape
//   8 clock
#import metrics
#import table
#import rng
#import clock
#import tokens

struct GatherSequences {       // 32 bytes
    samples: u32,
    context: u32,
    rows: u32,                 // of one micro-batch
    steps_per_epoch: u32,
    micro_batches: u32,        // in a step
    micro: u32,                // which one this is
    seed: u32,
    pad0: u32,
}

override WORKGROUP: u32 = 64u;
override SHUFFLE: u32 = 1u;

@group(0) @binding(0) var<storage, read> sequences: array<u32>;
@group(0) @binding(1) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(2) var<storage, read_write> mask: array<u32>;
@group(0) @binding(3) var<storage, read_write> types: array<u32>;
@group(0) @binding(4) var<storage, read_write> labels: array<u32>;
@group(0) @binding(5) var<storage, read_write> position: Position;
@group(0) @binding(6) var<storage, read> table: Table;
@group(0) @binding(7) var<uniform> shape: GatherSequences;
@group(0) @binding(8) var<uniform> clock: Clock;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    let r = at / shape.context;
    let i = at % shape.context;
    if (r >= shape.rows) {
        return;
    }
    let step = table.first_step + clock.slot;
    let epoch = step / shape.steps_per_epoch;
    let batch = step % shape.steps_per_epoch * shape.micro_batches + shape.micro;
    var sample = batch * shape.rows + r;
    var label = IGNORED;
    var word = 0u;
    var there = 0u;
    if (sample < shape.samples) {
        if (SHUFFLE != 0u) {
            sample = shuffled(sample, shape.samples, pcg(shape.seed ^ pcg(epoch)));
        }
        let record = sample * (2u + shape.context);
        label = sequences[record];
        if (i < sequences[record + 1u]) {
            word = sequences[record + 2u + i];
            there = 1u;
        }
    }
    tokens[at] = word & ((1u << TYPE_SHIFT) - 1u);
    types[at] = word >> TYPE_SHIFT;
    mask[at] = there;
    if (i == 0u) {
        labels[r] = label;
    }
    if (at == 0u) {
        let counting = samples_in(batch - shape.micro, shape.micro_batches, shape.rows, shape.samples);
        position = Position(step, epoch, batch, counting);
    }
}

// Gathers a batch from the data set on the device: the step's number decides the rows, without an upload.
//
//   batch = step mod batches_per_epoch · micro_batches + micro           epoch = step div batches_per_epoch
//   x[r] = data[order_epoch(batch · rows + r)]                            order: a seeded bijection, new every epoch
//
// With SHUFFLE = 0 the rows are in order (evaluation). Rows after the last one are zeros with the label IGNORED; all
// others count.
//
//   0 data     [samples, quads]       vec4
//   1 labels   [samples]
//   2 x        [rows, quads]          vec4
//   3 y        [rows]
//   4 position
//   5 table                           only its first step is read
//   6 shape
//   7 clock
#import metrics
#import table
#import rng
#import clock
#import tokens

struct Gather {                // 32 bytes
    samples: u32,
    rows: u32,                 // of one micro-batch
    quads: u32,                // vec4s in a row
    steps_per_epoch: u32,
    micro_batches: u32,        // in a step
    micro: u32,                // which one this is
    seed: u32,
    pad0: u32,
}

override WORKGROUP: u32 = 64u;
override SHUFFLE: u32 = 1u;

@group(0) @binding(0) var<storage, read> data: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;
@group(0) @binding(4) var<storage, read_write> position: Position;
@group(0) @binding(5) var<storage, read> table: Table;
@group(0) @binding(6) var<uniform> shape: Gather;
@group(0) @binding(7) var<uniform> clock: Clock;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    let r = at / shape.quads;
    let q = at % shape.quads;
    if (r >= shape.rows) {
        return;
    }
    let step = table.first_step + clock.slot;
    let epoch = step / shape.steps_per_epoch;
    let batch = step % shape.steps_per_epoch * shape.micro_batches + shape.micro;
    var sample = batch * shape.rows + r;
    var label = IGNORED;
    var values = vec4<f32>();
    if (sample < shape.samples) {
        if (SHUFFLE != 0u) {
            sample = shuffled(sample, shape.samples, pcg(shape.seed ^ pcg(epoch)));
        }
        label = labels[sample];
        values = data[sample * shape.quads + q];
    }
    x[r * shape.quads + q] = values;
    if (q == 0u) {
        y[r] = label;
    }
    if (at == 0u) {
        let counting = samples_in(batch - shape.micro, shape.micro_batches, shape.rows, shape.samples);
        position = Position(step, epoch, batch, counting);
    }
}

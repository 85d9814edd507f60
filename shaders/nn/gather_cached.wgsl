// Gathers the cached outputs of a frozen trunk: the rows of the batch that the gather before it has drawn, in the same
// order.
//
//   s = order_epoch(batch mod batches · rows + r)
//   out[r] = cached[s - first]               for first <= s < first + count, else left alone
//
// The cache may have several pages, each with its own dispatch; a row is written by the dispatch whose page has it.
// With SHUFFLE = 0 examples are in order. Rows after the last one are zeros.
//
//   0 cached   [count, quads]         vec4: a page of examples
//   1 out      [rows, quads]          vec4
//   2 position                        which batch of which epoch
//   3 shape
#import metrics
#import rng

struct GatherCached {          // 32 bytes
    samples: u32,
    rows: u32,                 // of one micro-batch
    quads: u32,                // of an example
    seed: u32,
    first: u32,                // example of this page
    count: u32,                // examples of this page
    batches: u32,              // that the kept examples make: those of an epoch, or of a step
    pad0: u32,
}

override WORKGROUP: u32 = 256u;
override SHUFFLE: u32 = 1u;

@group(0) @binding(0) var<storage, read> cached: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> position: Position;
@group(0) @binding(3) var<uniform> shape: GatherCached;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    let r = at / shape.quads;
    if (r >= shape.rows) {
        return;
    }
    var sample = position.batch % shape.batches * shape.rows + r;
    if (sample >= shape.samples) {
        out[at] = vec4<f32>();
        return;
    }
    if (SHUFFLE != 0u) {
        sample = shuffled(sample, shape.samples, pcg(shape.seed ^ pcg(position.epoch)));
    }
    let place = sample - shape.first;    // wraps where the page begins behind the example
    if (place < shape.count) {
        out[at] = cached[place * shape.quads + at % shape.quads];
    }
}

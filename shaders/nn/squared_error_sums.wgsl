// Sums of squared errors of each output over a batch of an evaluation.
//
//   sums[batch, k] = sum_r (z[r, k] - t[r, k])²          over the rows whose label is not `ignore`
//
// One workgroup: its lanes take outputs in turn. Every batch has its own sums, so that the host can add them up
// exactly. Rows are added in blocks, so that the rounding error grows at most with the root of their number.
//
//   0 z        [rows, quads]          vec4
//   1 targets  [rows, quads]          vec4
//   2 labels   [rows]                 `ignore`, or anything else
//   3 sums     [batches, outputs]
//   4 position
//   5 shape                           its classes are the outputs
#import loss
#import metrics

override WORKGROUP: u32 = 256u;

// Rows that are added up before they join the whole.
const BLOCK: u32 = 64u;

@group(0) @binding(0) var<storage, read> z: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> targets: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;
@group(0) @binding(4) var<storage, read> position: Position;
@group(0) @binding(5) var<uniform> shape: Loss;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
    for (var k = lane; k < shape.classes; k += WORKGROUP) {
        var sum = 0.0;
        for (var block = 0u; block < shape.rows; block += BLOCK) {
            var some = 0.0;
            for (var r = block; r < min(block + BLOCK, shape.rows); r++) {
                let at = r * shape.quads + k / 4u;
                let apart = z[at][k % 4u] - targets[at][k % 4u];
                some += select(0.0, apart * apart, labels[r] != shape.ignore);
            }
            sum += some;
        }
        sums[position.batch * shape.classes + k] = sum;
    }
}

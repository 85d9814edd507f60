// Counts how often each label is there and is answered to be there, over the batches of an evaluation.
//
//   cells[k, truth, answer] += 1                 truth: t[r, k] > 1/2            answer: z[r, k] > 0
//
// One workgroup: its lanes take labels in turn. Counting starts again at batch 0. A row whose label is `ignore` has no cells;
// nor has a logit or a target that is not finite: bits, as they are loaded, say so.
//
//   0 z        [rows, quads]          vec4
//   1 targets  [rows, quads]          vec4, from 0 to 1
//   2 labels   [rows]                 `ignore`, or anything else
//   3 cells    [outputs, 2, 2]
//   4 position
//   5 shape                           its classes are the outputs
#import loss
#import metrics
#import float

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<storage, read> z: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> targets: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> cells: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> position: Position;
@group(0) @binding(5) var<uniform> shape: Loss;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
    for (var k = lane; k < shape.classes; k += WORKGROUP) {
        var counts = select(cells[k], vec4<u32>(), position.batch == 0u);
        for (var r = 0u; r < shape.rows; r++) {
            let logit = z[r * shape.quads + k / 4u][k % 4u];
            let aim = targets[r * shape.quads + k / 4u][k % 4u];
            let spoiled = is_nonfinite(bitcast<u32>(logit)) || is_nonfinite(bitcast<u32>(aim));
            let cell = select(0u, 2u, aim > 0.5) + select(0u, 1u, logit > 0.0);
            let one = vec4<u32>(cell) == vec4<u32>(0u, 1u, 2u, 3u);
            let counts_here = labels[r] != shape.ignore && !spoiled;
            counts += select(vec4<u32>(), vec4<u32>(1u), one & vec4<bool>(counts_here));
        }
        cells[k] = counts;
    }
}

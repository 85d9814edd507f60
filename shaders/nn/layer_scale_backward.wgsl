// LayerScale, backward to its scale.
//
//   dscale[c] = sum_r dy[r, c] x[r, c]
//
// A workgroup makes WORKGROUP / LANES quads of columns: LANES lanes share a quad, each takes rows in turn, then a fixed tree
// sums. Neighbouring lanes read neighbouring quads. The first micro-batch of a step overwrites, later ones add (ACCUMULATE = 1).
//
//   0 dy       [rows, quads]   vec4, zero after the last column
//   1 x        [rows, quads]   vec4, zero after the last column
//   2 dscale   [width]
//   3 shape
#import layer_scale
#import values

override WORKGROUP: u32 = 64u;
override LANES: u32 = 8u;      // a power of two that divides WORKGROUP
override ACCUMULATE: u32 = 0u;
// Rows that a lane adds up before it adds to the whole.
const BLOCK: u32 = 64u;

@group(0) @binding(0) var<storage, read> dy: array<Stored>;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read_write> dscale: array<f32>;
@group(0) @binding(3) var<uniform> shape: LayerScale;

var<workgroup> sums: array<vec4<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let columns = WORKGROUP / LANES;
    let q = (group.y * grid.x + group.x) * columns + lane % columns;
    let at = min(q, shape.quads - 1u);
    var sum = vec4<f32>();
    for (var block = lane / columns; block < shape.rows; block += BLOCK * LANES) {
        var some = vec4<f32>();
        for (var r = block; r < min(block + BLOCK * LANES, shape.rows); r += LANES) {
            some += wide(dy[r * shape.quads + at]) * wide(x[r * shape.quads + at]);
        }
        sum += some;
    }
    sums[lane] = sum;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if (lane / columns < width) {
            sums[lane] += sums[lane + width * columns];
        }
        workgroupBarrier();
    }
    if (lane >= columns || q >= shape.quads) {
        return;
    }
    let all = sums[lane];
    for (var n = 0u; n < 4u && 4u * q + n < shape.width; n++) {
        let c = 4u * q + n;
        dscale[c] = all[n] + select(0.0, dscale[c], ACCUMULATE != 0u);
    }
}

// Norm of gradients whose kernels have written their squares: adds those up, and finds the first group that holds a
// non-finite gradient.
//
//   partial = sum of squares    (NORM = 2)     0    (NORM = 0, guard only)
//
// A chunk is a stretch of one tensor's squares, `grad` the first of them. Partials cover chunks as in norm.wgsl, and lie
// behind those of the norm of the other gradients. Chunk by chunk, each reduced by a fixed tree, the chunks added in
// order.
//
//   0 chunks   [n]                    of the tensors whose squares there are, in logical order
//   1 control                         partials are written
//   2 squares  [page]
//   3 segment                         the chunks that lie in this page
//   4 bounds   [partials + 1]
#import control
#import chunk
#import float
#import squares

override WORKGROUP: u32 = 256u;
override NORM: u32 = 2u;

@group(0) @binding(0) var<storage, read> chunks: array<Chunk>;
@group(0) @binding(1) var<storage, read_write> control: Control;
@group(0) @binding(2) var<storage, read> squares: array<Squares>;
@group(0) @binding(3) var<uniform> segment: Segment;
@group(0) @binding(4) var<storage, read> bounds: array<u32>;

var<workgroup> sums: array<f32, WORKGROUP>;
var<workgroup> bads: array<u32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let partial = segment.first_partial + workgroup.x;
    let start = bounds[partial];
    let end = bounds[partial + 1u];
    let from_chunk = max(start, segment.first);
    let to_chunk = min(end, segment.first + segment.count);

    var total = Partial(0.0, NO_GROUP);
    if (from_chunk > start) {
        total = control.partials[segment.place + partial];    // begun by the dispatch of the page before
    }
    for (var c = from_chunk; c < to_chunk; c++) {
        let chunk = chunks[c];
        var sum = 0.0;
        var bad = NO_GROUP;
        for (var i = lane; i < chunk.length; i += WORKGROUP) {
            let one = squares[chunk.grad + i];
            if (NORM != 0u) {
                sum += one.sum;
            }
            if (is_nonfinite(one.mark)) {
                bad = chunk.group;
            }
        }
        sums[lane] = sum;
        bads[lane] = bad;
        workgroupBarrier();
        for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
            if (lane < width) {
                sums[lane] += sums[lane + width];
                bads[lane] = min(bads[lane], bads[lane + width]);
            }
            workgroupBarrier();
        }
        total.sum += sums[0];
        total.bad_group = min(total.bad_group, bads[0]);
        workgroupBarrier();
    }
    if (lane == 0u) {
        control.partials[segment.place + partial] = total;
    }
}

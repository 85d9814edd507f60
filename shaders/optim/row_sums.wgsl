// Sums over each row of a matrix that its rule needs before the update: four for each row that a chunk has a part of, which
// row_sums_fold.wgsl adds up.
//
//   sums = (sum of a, of b, of c, of d)                 what a rule has added up: `row_terms` of rule/<name>.wgsl
//
// Gradient, parameter and state are those that the update will find. A chunk is a workgroup's, each row reduced by a fixed
// tree.
//
//   0 - g                             as in update.wgsl, up to the segment
//   . matrices [tensors]              of each tensor in the list
//   . sums     [chunks + rows]        see Matrix
#import update
#import moments

override WORKGROUP: u32 = 256u;

@group(0) @binding(SEGMENT_BINDING + 2u) var<storage, read_write> sums: array<vec4<f32>>;

var<workgroup> parts: array<vec4<f32>, WORKGROUP>;

// Of one vec4 of the streams, from `first` elements into the chunk: of its elements from `begin` up to `end`.
fn summed(step: Step, first: u32, begin: u32, end: u32) -> vec4<f32> {
    let chunk = step.chunk;
    let live = chunk.length - first;
    let s = (chunk.state + first) / (4u * STORED_QUADS);
    let k = first / 4u % STORED_QUADS;
    let gradient = grads_at(step.record.grad + chunk.grad + first, live);
    let now = met(step.record, step.value_bound, gradient, params_at(chunk.param + first, live));
    var old = Quad();
    old.p = now.p;
    old.kept[0] = quad_of(slot0[s], k);
#ifdef SLOT1
    old.kept[1] = quad_of(slot1[s], k);
#endif
    let added = row_terms(step.record, now.g, old);
    let element = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    let is_own = (element >= vec4<u32>(begin)) & (element < vec4<u32>(end));
    let none = vec4<f32>();
    let one = vec4<f32>(1.0);
    return vec4<f32>(
        dot(select(none, added.a, is_own), one),
        dot(select(none, added.b, is_own), one),
        dot(select(none, added.c, is_own), one),
        dot(select(none, added.d, is_own), one),
    );
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = workgroup.y * grid.x + workgroup.x;
    if (control.stats.skip != 0u || place >= segment.count) {
        return;
    }
    let step = step_of(chunks[segment.first + place]);
    let matrix = matrices[step.chunk.entry];
    if (matrix.columns == 0u) {
        return;
    }
    let start = step.chunk.number * matrix.chunk;
    let last = (start + step.chunk.length - 1u) / matrix.columns;
    for (var row = start / matrix.columns; row <= last; row++) {
        let begin = max(row * matrix.columns, start) - start;
        let end = min((row + 1u) * matrix.columns - start, step.chunk.length);
        var sum = vec4<f32>();
        for (var i = begin / 4u * 4u + lane * 4u; i < end; i += WORKGROUP * 4u) {
            sum += summed(step, i, begin, end);
        }
        parts[lane] = sum;
        workgroupBarrier();
        for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
            if (lane < width) {
                parts[lane] += parts[lane + width];
            }
            workgroupBarrier();
        }
        if (lane == 0u) {
            sums[matrix.sums + step.chunk.number + row] = parts[0];
        }
        workgroupBarrier();
    }
}

// Sums over each tensor that its rule needs before the update: two for each chunk, which sums_fold.wgsl adds up.
//
//   sums = (sum of a, sum of b)                         what a rule has added up: `terms` of rule/<name>.wgsl
//
// Gradient, parameter and state are those that the update will find. A chunk is a workgroup's, reduced by a fixed tree. Its
// sums lie at its place in the work list.
//
//   0 - g                             as in update.wgsl, up to the segment
//   . sums     [n]                    of each chunk of the work list
#import update
#import moments

override WORKGROUP: u32 = 256u;

@group(0) @binding(SEGMENT_BINDING + 1u) var<storage, read_write> sums: array<vec2<f32>>;

var<workgroup> parts: array<vec2<f32>, WORKGROUP>;

// Of one vec4 of the streams, from `first` elements into the chunk.
fn summed(step: Step, first: u32, live: u32) -> vec2<f32> {
    let chunk = step.chunk;
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
    let added = terms(step.record, now.g, old);
    let is_live = vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(live);
    let one = vec4<f32>(1.0);
    return vec2<f32>(dot(select(vec4<f32>(), added.a, is_live), one), dot(select(vec4<f32>(), added.b, is_live), one));
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
    var sum = vec2<f32>();
    for (var i = lane * 4u; i < step.chunk.length; i += WORKGROUP * 4u) {
        sum += summed(step, i, step.chunk.length - i);
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
        sums[segment.first + place] = parts[0];
    }
}

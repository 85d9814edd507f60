// The direction of each matrix before it is made orthogonal, for a rule that steps along such a one: the momentum takes the
// gradient, and the direction has a length of 1.
//
//   b, x <- `directed` of rule/<name>.wgsl
//
// Gradient and state are those that the sums before have seen. A workgroup does one chunk.
//
//   0 - g                             as in update.wgsl, up to the segment
//   . directions [state page]         vec4
#import update
#import moments

override WORKGROUP: u32 = 256u;

@group(0) @binding(SEGMENT_BINDING + 1u) var<storage, read_write> directions: array<vec4<f32>>;

// One vec4 of the streams, from `first` elements into the chunk.
fn direct(step: Step, first: u32) {
    let chunk = step.chunk;
    let live = chunk.length - first;
    let s = (chunk.state + first) / 4u;
    let gradient = grads_at(step.record.grad + chunk.grad + first, live);
    let now = met(step.record, step.value_bound, gradient, params_at(chunk.param + first, live));
    var old = Quad();
    old.p = now.p;
    old.kept[0] = slot0[s];
    let next = directed(step.record, now.g, old);
    slot0[s] = next.b;
    directions[s] = next.x;
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
    for (var i = lane * 4u; i < step.chunk.length; i += WORKGROUP * 4u) {
        direct(step, i);
    }
}

// Sums over each tensor that its rule needs before the update, once rows and columns have taken this step: two for each
// chunk, which sums_fold.wgsl adds up.
//
//   sums = (sum of p², sum of u²)                       p before its decay, u = `direction` of rule/<name>.wgsl
//
// A chunk is a workgroup's, reduced by a fixed tree. Its sums lie at its place in the work list.
//
//   0 - g                             as in update.wgsl, up to the segment
//   . factors  [tensors]              of each tensor in the list
//   . means    [matrices]             of each matrix
//   . sums     [n]                    of each chunk of the work list
#import update
#import second_moment

override WORKGROUP: u32 = 256u;

@group(0) @binding(SEGMENT_BINDING + 3u) var<storage, read_write> sums: array<vec2<f32>>;

var<workgroup> parts: array<vec2<f32>, WORKGROUP>;

// Of one vec4 of the streams, from `first` elements into the chunk.
fn summed(step: Step, own: Factors, first: u32) -> vec2<f32> {
    let live = step.chunk.length - first;
    let element = step.chunk.number * own.chunk + first;
    let g = gradients(step, first, live);
    let p = params_at(step.chunk.param + first, live);
    var v = vec4<f32>();
    if (own.columns == 0u) {
        v = second_moment(step.record, g, slot0[(own.row_state + element) / 4u]);
    } else {
        v = second_moments(own, element);
    }
    let u = direction(step.record, g, v);
    let is_live = vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(live);
    let one = vec4<f32>(1.0);
    return vec2<f32>(dot(select(vec4<f32>(), p * p, is_live), one), dot(select(vec4<f32>(), u * u, is_live), one));
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
    let own = factors[step.chunk.entry];
    var sum = vec2<f32>();
    for (var i = lane * 4u; i < step.chunk.length; i += WORKGROUP * 4u) {
        sum += summed(step, own, i);
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

// Clips gradients where they are, for trainers with an optimizer of their own.
//
//   g <- clip · g                     by norm (torch.nn.utils.clip_grad_norm_; the factor is applied also when it is 1)
//   g <- clamp(g, -bound, bound)      by value (torch.nn.utils.clip_grad_value_; NaN stays)
//
//   0 chunks   [n]                    work list
//   1 control                         stats: clip, value_bound, skip
//   2 grads    [page]                 vec4; single floats with SINGLE_GRADS
//   3 segment                         the chunks that lie in this page
#import control
#import chunk
#import float

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<storage, read> chunks: array<Chunk>;
@group(0) @binding(1) var<storage, read> control: Control;
#ifdef SINGLE_GRADS
@group(0) @binding(2) var<storage, read_write> grads: array<f32>;
#else
@group(0) @binding(2) var<storage, read_write> grads: array<vec4<f32>>;
#endif
@group(0) @binding(3) var<uniform> segment: Segment;

fn clipped(g: vec4<f32>) -> vec4<f32> {
    if (control.stats.value_bound > 0.0) {
        return clamp_value(g, control.stats.value_bound);
    }
    return control.stats.clip * g;
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
    let chunk = chunks[segment.first + place];
    for (var i = lane * 4u; i < chunk.length; i += WORKGROUP * 4u) {
        let first = chunk.grad + i;
        let live = chunk.length - i;
#ifdef SINGLE_GRADS
        for (var k = 0u; k < min(live, 4u); k++) {
            grads[first + k] = clipped(vec4<f32>(grads[first + k])).x;
        }
#else
        let old = grads[first / 4u];
        grads[first / 4u] = select(old, clipped(old), vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(live));
#endif
    }
}

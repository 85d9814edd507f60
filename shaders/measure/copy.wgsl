// A copy in a kernel, to tell what a kernel can read and write at most.
//
//   to[i] = source[i]
//
// Neighbouring invocations take neighbouring vec4s; each takes QUADS of them, a workgroup apart.
//
//   0 source   [quads]                vec4
//   1 to       [quads]                vec4
override WORKGROUP: u32 = 256u;
override QUADS: u32 = 4u;

@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> to: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.y * grid.x + group.x) * WORKGROUP * QUADS + lane;
    for (var k = 0u; k < QUADS; k++) {
        let at = first + k * WORKGROUP;
        if (at < arrayLength(&to)) {
            to[at] = source[at];
        }
    }
}

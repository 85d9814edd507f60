// The mean over the tokens that a mask leaves, or the last of them, backward.
//
//   dx[b, t] = mask[b, t] dy[b] / n[b]            n[b] = sum_t mask[b, t]
//   dx[b, t] = dy[b] at the last t with mask[b, t], else 0                        with LAST = 1
//
// One invocation writes a vec4 of every token of a sequence.
//
//   0 dy       [batch, quads]          vec4
//   1 mask     [batch, context]        0 or 1
//   2 dx       [batch, context, quads] vec4
//   3 shape
#import pool
#import values

override WORKGROUP: u32 = 64u;
override LAST: u32 = 0u;

@group(0) @binding(0) var<storage, read> dy: array<Stored>;
@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(3) var<uniform> shape: Pool;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    let b = at / shape.quads;
    let q = at % shape.quads;
    if (b >= shape.batch) {
        return;
    }
    var count = 0.0;
    var first = 0u;            // token that has a share
    for (var t = 0u; t < shape.context; t++) {
        if (mask[b * shape.context + t] != 0u) {
            count = select(count + 1.0, 1.0, LAST != 0u);
            first = select(0u, t, LAST != 0u);
        }
    }
    let share = wide(dy[at]) / max(count, 1.0);
    for (var t = 0u; t < shape.context; t++) {
        let r = b * shape.context + t;
        dx[r * shape.quads + q] = narrow(select(vec4<f32>(), share, mask[r] != 0u && t >= first));
    }
}

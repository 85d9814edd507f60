// The mean over the tokens that a mask leaves, or the last of them.
//
//   y[b] = sum_t mask[b, t] x[b, t] / n[b]        n[b] = sum_t mask[b, t]
//   y[b] = x[b, last t with mask[b, t]]           with LAST = 1
//
// A sequence with no token left gives 0. A mask that leaves only the first token gives that token, for BERT's pooler.
// Masked values are not read, NaN or not.
//
//   0 x        [batch, context, quads] vec4
//   1 mask     [batch, context]        0 or 1
//   2 y        [batch, quads]          vec4
//   3 shape
#import pool
#import values

override WORKGROUP: u32 = 64u;
override LAST: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<Stored>;
@group(0) @binding(3) var<uniform> shape: Pool;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    let b = at / shape.quads;
    let q = at % shape.quads;
    if (b >= shape.batch) {
        return;
    }
    var sum = vec4<f32>();
    var count = 0.0;
    for (var t = 0u; t < shape.context; t++) {
        let r = b * shape.context + t;
        if (mask[r] != 0u) {
            if (LAST != 0u) {
                sum = vec4<f32>();
                count = 0.0;
            }
            sum += wide(x[r * shape.quads + q]);
            count += 1.0;
        }
    }
    y[at] = narrow(sum / max(count, 1.0));
}

// Multi-head attention, backward, first part: what the softmax takes off the gradient of every score of a query.
//
//   delta[t] = dout[t] · out[t]        = sum_j p[t, j] dp[t, j], dropout included
//
// Dao et al. 2022, "FlashAttention", algorithm 4, line 19. One invocation makes one number.
//
//   0 dout     [batch · context, heads, head_quads]      vec4
//   1 out      the same
//   2 delta    [batch, heads, context]
//   3 shape
#import attention

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> dout: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> out: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> delta: array<f32>;
@group(0) @binding(3) var<uniform> shape: Attention;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let index = id.y * grid.x * WORKGROUP + id.x;
    if (index >= shape.batch * shape.heads * shape.context) {
        return;
    }
    let head = index / shape.context % shape.heads;
    let row = index / shape.context / shape.heads * shape.context + index % shape.context;
    let first = (row * shape.heads + head) * shape.head_quads;
    var sum = 0.0;
    for (var d = 0u; d < shape.head_quads; d++) {
        sum += dot(dout[first + d], out[first + d]);
    }
    delta[index] = sum;
}

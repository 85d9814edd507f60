// Batch norm, backward to its input.
//
//   dx[r, c] = gamma[c] rstd_c (dy[r, c] - plain_c - n[r, c] along_c)       n[r, c] = (x[r, c] - mean_c) rstd_c
//   dx[r, c] = gamma[c] rstd_c dy[r, c]                                     with RUNNING = 1
//
// plain and along are the slopes that batch_norm_backward_weight.wgsl makes. Running moments do not depend on x: then neither x
// nor slopes are read. With ACCUMULATE = 1 the result joins what is there. One invocation makes a vec4.
//
//   0 dy       [rows, quads]   vec4, zero after the last channel
//   1 x        [rows, quads]   vec4
//   2 gamma    [width]
//   3 moments  [ghosts, width]
//   4 slopes   [ghosts, width]
//   5 dx       [rows, quads]   vec4, zero after the last channel
//   6 shape
#import quad
#import batch_norm
#import values

override WORKGROUP: u32 = 64u;
override ACCUMULATE: u32 = 0u;
override RUNNING: u32 = 0u;

@group(0) @binding(0) var<storage, read> dy: array<Stored>;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> moments: array<ChannelMoments>;
@group(0) @binding(4) var<storage, read> slopes: array<ChannelSlopes>;
@group(0) @binding(5) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(6) var<uniform> shape: BatchNorm;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    if (at >= shape.rows * shape.quads) {
        return;
    }
    let q = at % shape.quads;
    let first = at / shape.quads / shape.ghost_rows * shape.width;
    var d = wide(dy[at]);
    var scale = vec4<f32>();
    for (var n = 0u; n < 4u; n++) {
        let c = channels(q)[n];
        let known = moments[first + c];
        scale[n] = gamma[c] * known.rstd;
        if (RUNNING == 0u) {
            let normed = (wide(x[at])[n] - known.mean) * known.rstd;
            d[n] -= slopes[first + c].plain + normed * slopes[first + c].along;
        }
    }
    var value = select(vec4<f32>(), scale * d, inside(q, shape.width));
    if (ACCUMULATE != 0u) {
        value += wide(dx[at]);
    }
    dx[at] = narrow(value);
}

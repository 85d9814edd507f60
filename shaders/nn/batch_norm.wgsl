// Batch norm (Ioffe & Szegedy 2015), forward, by the moments of each channel (batch_moments.wgsl).
//
//   y[r, c] = (x[r, c] - mean_c) rstd_c gamma[c] + beta[c]
//
// One invocation makes a vec4. With TRACK = 1 the first one counts the ghost batches; else what is bound for the count is left alone.
//
//   0 x        [rows, quads]   vec4, zero after the last channel
//   1 gamma    [width]
//   2 beta     [width]
//   3 moments  [ghosts, width]
//   4 y        [rows, quads]   vec4, zero after the last channel
//   5 count    [1]             batches of which there are running statistics
//   6 shape
#import quad
#import batch_norm
#import values

override WORKGROUP: u32 = 64u;
override TRACK: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read> gamma: array<f32>;
@group(0) @binding(2) var<storage, read> beta: array<f32>;
@group(0) @binding(3) var<storage, read> moments: array<ChannelMoments>;
@group(0) @binding(4) var<storage, read_write> y: array<Stored>;
@group(0) @binding(5) var<storage, read_write> count: array<f32>;
@group(0) @binding(6) var<uniform> shape: BatchNorm;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    if (at >= shape.rows * shape.quads) {
        return;
    }
    let q = at % shape.quads;
    let first = at / shape.quads / shape.ghost_rows * shape.width;
    let values = wide(x[at]);
    var normed = vec4<f32>();
    for (var n = 0u; n < 4u; n++) {
        let c = channels(q)[n];
        let known = moments[first + c];
        normed[n] = (values[n] - known.mean) * (known.rstd * gamma[c]) + beta[c];
    }
    y[at] = narrow(select(vec4<f32>(), normed, inside(q, shape.width)));
    if (TRACK != 0u && at == 0u) {
        count[0] += f32(ghosts());
    }
}

// Layer norm, backward to its input.
//
//   n[r, c] = (x[r, c] - mean_r) rstd_r           g[r, c] = dy[r, c] gamma[c]
//   dx[r, c] = rstd_r (g[r, c] - mean_c g[r] - n[r, c] mean_c (g n)[r])
//
// With ACCUMULATE = 1 it is added to the gradient of the residual branch.
//
//   0 dy       [rows, quads]          vec4, zero after the last column
//   1 x        [rows, quads]          vec4: what was normalized, the sum where a residual was added
//   2 gamma    [width]
//   3 moments  [rows]
//   4 dx       [rows, quads]          vec4, zero after the last column
//   5 shape
#import quad
#import rows
#import layer_norm
#import values

override ACCUMULATE: u32 = 0u;

@group(0) @binding(0) var<storage, read> dy: array<Stored>;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> moments: array<Moments>;
@group(0) @binding(4) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(5) var<uniform> shape: LayerNorm;

// dy times gamma: 0 after the last column, as dy is.
fn scaled(row: u32, q: u32) -> vec4<f32> {
    let c = min(4u * q + QUAD, vec4<u32>(shape.width - 1u));
    return wide(dy[row + q]) * vec4<f32>(gamma[c.x], gamma[c.y], gamma[c.z], gamma[c.w]);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let r = row_at(group, grid, lane);
    let place = min(r, shape.rows - 1u);
    let row = place * shape.quads;
    let first = lane % LANES;
    let own = moments[place];
    var plain = vec4<f32>();
    var along = vec4<f32>();
    for (var q = first; q < shape.quads; q += LANES) {
        let g = scaled(row, q);
        plain += g;
        along += g * (wide(x[row + q]) - own.mean) * own.rstd;
    }
    let mean_plain = row_sum(lane, total(plain)) / f32(shape.width);
    let mean_along = row_sum(lane, total(along)) / f32(shape.width);
    if (r >= shape.rows) {
        return;
    }
    for (var q = first; q < shape.quads; q += LANES) {
        let n = (wide(x[row + q]) - own.mean) * own.rstd;
        var value = own.rstd * (scaled(row, q) - mean_plain - n * mean_along);
        value = select(vec4<f32>(), value, inside(q, shape.width));
        if (ACCUMULATE != 0u) {
            value += wide(dx[row + q]);
        }
        dx[row + q] = narrow(value);
    }
}

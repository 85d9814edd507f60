// A linear layer, forward, with bias, activation or residual folded in.
//
//   z[r, o] = b[o] + sum_i x[r, i] W[o, i]        h = activation(z)
//   z[r, o] = residual[r, o] + b[o] + …           with RESIDUAL
//
// One invocation makes a tile of 8 rows by 8 outputs, four matrices of sums with a column a row, and takes 4 inputs a
// turn: 16 loads of a vec4 for 256 products. With TILED a workgroup shares what it reads (shaders/shared/linear_tiles.wgsl);
// with COOPERATIVE a subgroup takes x and W in f16, by cooperative matrices (shaders/shared/linear_cooperative.wgsl).
// Without a bias (BIAS = 0) what is bound in its place is not read. With PLANES it is several layers of one x
// (shaders/shared/linear.wgsl), without an activation or a residual.
//
//   0 x        [rows, input_quads]    vec4
//   1 weight   [outputs, inputs]      shaders/shared/weight.wgsl
//   2 bias     [outputs]
//   3 z        [rows, output_quads]   vec4, zero after the last output
//   4 shape
//   5 h        [rows, output_quads]   with ACTIVATED
//   5 residual [rows, output_quads]   with RESIDUAL
#ifdef COOPERATIVE
enable f16;
enable wgpu_cooperative_matrix;
#endif
#import activation
#import linear
#import values
#import weight
#ifdef TILED
#import linear_tiles
#else
override WORKGROUP: u32 = 64u;
#endif
#ifdef COOPERATIVE
#import linear_cooperative
#endif

override BIAS: u32 = 1u;

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> z: array<Stored>;
@group(0) @binding(4) var<uniform> shape: Linear;
#ifdef ACTIVATED
@group(0) @binding(5) var<storage, read_write> h: array<Stored>;
#endif
#ifdef RESIDUAL
@group(0) @binding(5) var<storage, read> residual: array<Stored>;
#endif

// Inputs 4i .. 4i + 3 of four outputs' weights, a column an output.
fn weights_at(q: u32, i: u32) -> mat4x4<f32> {
    let o = 4u * q;
    return mat4x4<f32>(weight_at(o, i), weight_at(o + 1u, i), weight_at(o + 2u, i), weight_at(o + 3u, i));
}

// Inputs 4i .. 4i + 3 of a row; of the last row where r is past it.
fn x_at(r: u32, i: u32) -> vec4<f32> {
    return wide(x[min(r, shape.rows - 1u) * shape.input_quads + i]);
}

// The same of four rows, a column a row.
fn rows_at(r: u32, i: u32) -> mat4x4<f32> {
    return mat4x4<f32>(x_at(r, i), x_at(r + 1u, i), x_at(r + 2u, i), x_at(r + 3u, i));
}

// Biases of outputs 4q .. 4q + 3.
fn biases_at(q: u32) -> vec4<f32> {
    let o = min(4u * q + QUAD, vec4<u32>(all_outputs() - 1u)) + 4u * plane_of(q) * BIAS_GAP;
    return vec4<f32>(bias[o.x], bias[o.y], bias[o.z], bias[o.w]);
}

fn store(r: u32, q: u32, sums: vec4<f32>) {
    if (r >= shape.rows || q >= all_output_quads()) {
        return;
    }
    let at = output_at(r, q);
    var value = sums;
    if (BIAS != 0u) {
        value += biases_at(q);
    }
#ifdef RESIDUAL
    value += wide(residual[at]);
#endif
    value = select(vec4<f32>(), value, 4u * q + QUAD < vec4<u32>(all_outputs()));
    z[at] = narrow(value);
#ifdef ACTIVATED
    h[at] = narrow(activate(value, opaque(value, shape.zero)));
#endif
}

#ifdef TILED
fn store_rows(r: u32, q: u32, sums: mat4x4<f32>) {
    store(r, q, sums[0]);
    store(r + 1u, q, sums[1]);
    store(r + 2u, q, sums[2]);
    store(r + 3u, q, sums[3]);
}

const DOWN_ALONG_K: bool = true;
const ACROSS_ALONG_K: bool = true;

fn down_at(q: u32, k: u32) -> mat4x4<f32> {
    if (k >= shape.input_quads) {
        return mat4x4<f32>();
    }
    return rows_at(4u * q, k);
}

fn across_at(k: u32, q: u32) -> mat4x4<f32> {
    if (k >= shape.input_quads) {
        return mat4x4<f32>();
    }
    return transpose(weights_at(q, k));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(group.y * grid.x + group.x, lane, all_output_quads());
    let sums = products(lane, tile, shape.input_quads, false);
    let r = 4u * tile.own_down;
    let q = tile.own_across;
    store_rows(r, q, sums.near_near);
    if (QUADS == 2u) {
        store_rows(r, q + SIDE, sums.near_far);
        store_rows(r + 4u * SIDE, q, sums.far_near);
        store_rows(r + 4u * SIDE, q + SIDE, sums.far_far);
    }
}
#else
#ifdef COOPERATIVE
@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = group.y * grid.x + group.x;
    let across = (all_outputs() + EDGE - 1u) / EDGE;
    let r = tile / across * EDGE;
    let o = tile % across * EDGE;
    products(lane, r, o, shape.input_quads);
    for (var at = 4u * lane; at < EDGE * EDGE; at += 4u * WORKGROUP) {
        store(r + at / EDGE, (o + at % EDGE) / 4u, result(at));
    }
}
#else
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let tile = id.y * grid.x * WORKGROUP + id.x;
    let across = (all_output_quads() + 1u) / 2u;
    let q = tile % across * 2u;
    let r = tile / across * 8u;
    if (r >= shape.rows) {
        return;
    }
    var sums00 = mat4x4<f32>();
    var sums01 = mat4x4<f32>();
    var sums10 = mat4x4<f32>();
    var sums11 = mat4x4<f32>();
    for (var i = 0u; i < shape.input_quads; i++) {
        let w0 = transpose(weights_at(q, i));
        let w1 = transpose(weights_at(q + 1u, i));
        let x0 = rows_at(r, i);
        let x1 = rows_at(r + 4u, i);
        sums00 += w0 * x0;
        sums01 += w1 * x0;
        sums10 += w0 * x1;
        sums11 += w1 * x1;
    }
    for (var k = shape.zero; k < 4u; k++) {
        for (var i = shape.zero; i < 4u; i++) {
            store(r + k / 2u * 4u + i, q + k % 2u, sums00[0]);
            sums00 = turned(sums00);
        }
        sums00 = sums01;
        sums01 = sums10;
        sums10 = sums11;
    }
}
#endif
#endif

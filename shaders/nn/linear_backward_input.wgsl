// A linear layer, backward to its input and through the activation below it.
//
//   dz_below[r, i] = activation'(z_below[r, i]) sum_o dz[r, o] W[o, i]
//
// One invocation makes a tile of 8 rows by 8 inputs, four matrices of sums with a column a row, and takes 4 outputs a
// turn: 16 loads of a vec4 for 256 products. With TILED a workgroup shares what it reads (shaders/shared/linear_tiles.wgsl).
// With ACCUMULATE = 1 the result joins what is there: an input that several layers read (query, key and value) gets the
// sum of their gradients. Without an activation z_below is not read. With PLANES it is that of several layers of one x, all
// outputs in order (shaders/shared/linear.wgsl).
//
//   0 dz       [rows, output_quads]   vec4, zero after the last output
//   1 weight   [outputs, inputs]      shaders/shared/weight.wgsl
//   2 z_below  [rows, input_quads]    vec4
//   3 dz_below [rows, input_quads]    vec4, zero after the last input
//   4 shape
#import activation
#import linear
#import values
#import weight
#ifdef TILED
#import linear_tiles
#else
override WORKGROUP: u32 = 64u;
#endif

override ACCUMULATE: u32 = 0u;

@group(0) @binding(0) var<storage, read> dz: array<Stored>;
@group(0) @binding(2) var<storage, read> z_below: array<Stored>;
@group(0) @binding(3) var<storage, read_write> dz_below: array<Stored>;
@group(0) @binding(4) var<uniform> shape: Linear;

// Four inputs of outputs 4o .. 4o + 3's weights, a column an output; the last inputs where q is past them.
fn weights_at(o: u32, q: u32) -> mat4x4<f32> {
    let p = 4u * o;
    let i = min(q, shape.input_quads - 1u);
    return mat4x4<f32>(weight_at(p, i), weight_at(p + 1u, i), weight_at(p + 2u, i), weight_at(p + 3u, i));
}

// Outputs 4o .. 4o + 3 of a row; of the last row where r is past it.
fn dz_at(r: u32, o: u32) -> vec4<f32> {
    return wide(dz[output_at(min(r, shape.rows - 1u), o)]);
}

// The same of four rows, a column a row.
fn rows_at(r: u32, o: u32) -> mat4x4<f32> {
    return mat4x4<f32>(dz_at(r, o), dz_at(r + 1u, o), dz_at(r + 2u, o), dz_at(r + 3u, o));
}

fn store(r: u32, q: u32, sums: vec4<f32>) {
    if (r >= shape.rows || q >= shape.input_quads) {
        return;
    }
    let at = r * shape.input_quads + q;
    var value = sums;
    if (ACTIVATION != 0u) {
        let z = wide(z_below[at]);
        value *= activate_derivative(z, bitcast<vec4<u32>>(z));
    }
    value = select(vec4<f32>(), value, 4u * q + QUAD < vec4<u32>(shape.inputs));
    if (ACCUMULATE != 0u) {
        value += wide(dz_below[at]);
    }
    dz_below[at] = narrow(value);
}

#ifdef TILED
fn store_rows(r: u32, q: u32, sums: mat4x4<f32>) {
    store(r, q, sums[0]);
    store(r + 1u, q, sums[1]);
    store(r + 2u, q, sums[2]);
    store(r + 3u, q, sums[3]);
}

const DOWN_ALONG_K: bool = true;
const ACROSS_ALONG_K: bool = false;

fn down_at(q: u32, k: u32) -> mat4x4<f32> {
    if (k >= all_output_quads()) {
        return mat4x4<f32>();
    }
    return rows_at(4u * q, k);
}

fn across_at(k: u32, q: u32) -> mat4x4<f32> {
    if (k >= all_output_quads()) {
        return mat4x4<f32>();
    }
    return weights_at(k, q);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = tile_of(group.y * grid.x + group.x, lane, shape.input_quads);
    let sums = products(lane, tile, all_output_quads(), false);
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
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let tile = id.y * grid.x * WORKGROUP + id.x;
    let across = (shape.input_quads + 1u) / 2u;
    let q = tile % across * 2u;
    let r = tile / across * 8u;
    if (r >= shape.rows) {
        return;
    }
    var sums00 = mat4x4<f32>();
    var sums01 = mat4x4<f32>();
    var sums10 = mat4x4<f32>();
    var sums11 = mat4x4<f32>();
    for (var o = 0u; o < all_output_quads(); o++) {
        let w0 = weights_at(o, q);
        let w1 = weights_at(o, q + 1u);
        let d0 = rows_at(r, o);
        let d1 = rows_at(r + 4u, o);
        sums00 += w0 * d0;
        sums01 += w1 * d0;
        sums10 += w0 * d1;
        sums11 += w1 * d1;
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

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

fn depth() -> u32 {
    return all_output_quads();
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

#import input_products

// A convolution, forward (LeCun et al. 1989), as a product over the pixels below each window.
//
//   z[r, o] = b[o] + sum_{tap, i} x[pixel_below(r, tap), i] W[o, tap, i]
//
// Tiles are those of a linear layer with taps · inputs inputs (shaders/shared/forward_products.wgsl). The weights of another
// group's inputs are 0. With RAGGED there are several groups, or inputs is no multiple of 4. Without a bias (BIAS = 0) what is
// bound in its place is not read.
//
//   0 x        [images · in_height · in_width, input_quads]      vec4, zero after the last channel
//   1 weight   [outputs, taps, group_inputs]                     vec4; single floats with RAGGED
//   2 bias     [outputs]
//   3 z        [rows, output_quads]                              vec4, zero after the last channel
//   4 shape
#import conv
#import float
#import values
#ifdef TILED
#import linear_tiles
#else
override WORKGROUP: u32 = 64u;
#endif

override BIAS: u32 = 1u;

@group(0) @binding(0) var<storage, read> x: array<Stored>;
#ifdef RAGGED
@group(0) @binding(1) var<storage, read> weight: array<f32>;
#else
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
#endif
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> z: array<Stored>;
@group(0) @binding(4) var<uniform> shape: Conv;

fn breadth() -> u32 {
    return shape.output_quads;
}

fn depth() -> u32 {
    return taps() * shape.input_quads;
}

// Quad k of the pixels below the window of row r; of the last row where r is past it.
fn x_at(r: u32, k: u32) -> vec4<f32> {
    let pixel = pixel_below(min(r, shape.rows - 1u), k / shape.input_quads);
    if (pixel == OUTSIDE) {
        return vec4<f32>();
    }
    return wide(x[pixel * shape.input_quads + k % shape.input_quads]);
}

// Quad k of output o's weights; of the last output where o is past it.
fn weight_at(o: u32, k: u32) -> vec4<f32> {
    let row = min(o, shape.outputs - 1u);
#ifdef RAGGED
    let first = (row * taps() + k / shape.input_quads) * shape.group_inputs;
    let group = row / shape.group_outputs;
    let i = 4u * (k % shape.input_quads);
    var quad = vec4<f32>();
    for (var n = 0u; n < min(4u, shape.inputs - i); n++) {
        if ((i + n) / shape.group_inputs == group) {
            quad[n] = weight[first + (i + n) % shape.group_inputs];
        }
    }
    return quad;
#else
    return weight[row * depth() + k];
#endif
}

fn store(r: u32, q: u32, sums: vec4<f32>) {
    if (r >= shape.rows || q >= shape.output_quads) {
        return;
    }
    var value = sums;
    for (var n = 0u; n < 4u; n++) {
        let o = min(4u * q + n, shape.outputs - 1u);
        if (BIAS != 0u) {
            value[n] += bias[o];
        }
    }
    value = select(vec4<f32>(), value, 4u * q + QUAD < vec4<u32>(shape.outputs));
    z[r * shape.output_quads + q] = narrow(value);
}

#import forward_products

// A convolution, backward to its weight and bias.
//
//   dW[o, tap, i] = sum_r dz[r, o] x[pixel_below(r, tap), i]       db[o] = sum_r dz[r, o]
//
// Tiles are those of a linear layer with taps · inputs inputs (shaders/shared/weight_products.wgsl); products with another
// group's inputs are left out. With RAGGED there are several groups, or inputs is no multiple of 4. The first micro-batch of a
// step overwrites the gradients, later ones add (ACCUMULATE = 1).
//
//   0 dz       [rows, output_quads]                              vec4, zero after the last channel
//   1 x        [images · in_height · in_width, input_quads]      vec4, zero after the last channel
//   2 dweight  [outputs, taps, group_inputs]                     vec4; single floats with RAGGED
//   3 dbias    [outputs]
//   4 shape
//   5 squares  with SQUARES, as a linear layer's
#import conv
#import values
#import squares
#ifdef TILED
#import linear_tiles
#else
override WORKGROUP: u32 = 64u;
#endif

@group(0) @binding(0) var<storage, read> dz: array<Stored>;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
#ifdef RAGGED
@group(0) @binding(2) var<storage, read_write> dweight: array<f32>;
#else
@group(0) @binding(2) var<storage, read_write> dweight: array<vec4<f32>>;
#endif
@group(0) @binding(3) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(4) var<uniform> shape: Conv;
#ifdef SQUARES
@group(0) @binding(5) var<storage, read_write> squares: array<Squares>;
#endif

const PLANES: u32 = 1u;

fn height() -> u32 {
    return shape.output_quads;
}

fn breadth() -> u32 {
    return taps() * shape.input_quads;
}

fn x_quad(r: u32, q: u32) -> vec4<f32> {
    let pixel = pixel_below(r, q / shape.input_quads);
    if (pixel == OUTSIDE) {
        return vec4<f32>();
    }
    return wide(x[pixel * shape.input_quads + q % shape.input_quads]);
}

fn dz_quad(r: u32, q: u32) -> vec4<f32> {
    return wide(dz[r * shape.output_quads + q]);
}

// Gives the squares of what it stores.
fn store(_plane: u32, o: u32, q: u32, sums: vec4<f32>) -> vec2<f32> {
    if (o >= shape.outputs || q >= breadth()) {
        return vec2<f32>();
    }
#ifdef RAGGED
    let first = (o * taps() + q / shape.input_quads) * shape.group_inputs;
    let i = 4u * (q % shape.input_quads);
    var stored = vec4<f32>();
    for (var n = 0u; n < min(4u, shape.inputs - i); n++) {
        if ((i + n) / shape.group_inputs != o / shape.group_outputs) {
            continue;
        }
        let at = first + (i + n) % shape.group_inputs;
        stored[n] = sums[n];
        if (ACCUMULATE != 0u) {
            stored[n] += dweight[at];
        }
        dweight[at] = stored[n];
    }
#else
    let at = o * breadth() + q;
    var stored = sums;
    if (ACCUMULATE != 0u) {
        stored += dweight[at];
    }
    dweight[at] = stored;
#endif
    return squares_of(stored);
}

fn store_biases(_plane: u32, p: u32, sums: vec4<f32>) -> vec2<f32> {
    return store_four_biases(p, sums);
}

#import weight_products

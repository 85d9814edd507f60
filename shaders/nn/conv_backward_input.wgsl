// A convolution, backward to its input.
//
//   dx[r, i] = sum_{tap, o} dz[pixel_above(r, tap), o] W[o, tap, i]
//
// Rows are the pixels of x. Tiles are those of a linear layer (shaders/shared/input_products.wgsl). The weights of another
// group's inputs are 0. With RAGGED there are several groups, or inputs is no multiple of 4. With ACCUMULATE = 1 the result
// joins what is there.
//
//   0 dz       [images · out_height · out_width, output_quads]   vec4, zero after the last channel
//   1 weight   [outputs, taps, group_inputs]                     vec4; single floats with RAGGED
//   2 dx       [rows, input_quads]                               vec4, zero after the last channel
//   3 shape
#import conv
#import float
#import values
#ifdef TILED
#import linear_tiles
#else
override WORKGROUP: u32 = 64u;
#endif

override ACCUMULATE: u32 = 0u;

@group(0) @binding(0) var<storage, read> dz: array<Stored>;
#ifdef RAGGED
@group(0) @binding(1) var<storage, read> weight: array<f32>;
#else
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
#endif
@group(0) @binding(2) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(3) var<uniform> shape: Conv;

fn depth() -> u32 {
    return taps() * shape.output_quads;
}

// Quad k of the pixels whose windows lie over row r; of the last row where r is past it.
fn dz_at(r: u32, k: u32) -> vec4<f32> {
    let pixel = pixel_above(min(r, shape.rows - 1u), k / shape.output_quads);
    if (pixel == OUTSIDE) {
        return vec4<f32>();
    }
    return wide(dz[pixel * shape.output_quads + k % shape.output_quads]);
}

// Inputs 4q .. 4q + 3 of an output's weights at a tap; of the last output and quad where these are past them.
fn weight_at(o: u32, tap: u32, q: u32) -> vec4<f32> {
    let output = min(o, shape.outputs - 1u);
    let first = output * taps() + tap;
    let quad = min(q, shape.input_quads - 1u);
#ifdef RAGGED
    let group = output / shape.group_outputs;
    var four = vec4<f32>();
    for (var n = 0u; n < min(4u, shape.inputs - 4u * quad); n++) {
        let i = 4u * quad + n;
        if (i / shape.group_inputs == group) {
            four[n] = weight[first * shape.group_inputs + i % shape.group_inputs];
        }
    }
    return four;
#else
    return weight[first * shape.input_quads + quad];
#endif
}

fn weights_at(k: u32, q: u32) -> mat4x4<f32> {
    let tap = k / shape.output_quads;
    let o = 4u * (k % shape.output_quads);
    return mat4x4<f32>(
        weight_at(o, tap, q),
        weight_at(o + 1u, tap, q),
        weight_at(o + 2u, tap, q),
        weight_at(o + 3u, tap, q),
    );
}

fn store(r: u32, q: u32, sums: vec4<f32>) {
    if (r >= shape.rows || q >= shape.input_quads) {
        return;
    }
    let at = r * shape.input_quads + q;
    var value = select(vec4<f32>(), sums, 4u * q + QUAD < vec4<u32>(shape.inputs));
    if (ACCUMULATE != 0u) {
        value += wide(dx[at]);
    }
    dx[at] = narrow(value);
}

#import input_products

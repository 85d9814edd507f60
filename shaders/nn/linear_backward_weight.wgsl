// A linear layer, backward to its weight and bias.
//
//   dW[o, i] = sum_r dz[r, o] x[r, i]             db[o] = sum_r dz[r, o]
//
// The first micro-batch of a step overwrites the gradients, later ones add (ACCUMULATE = 1): nothing is ever zeroed.
// One invocation makes a tile of 8 outputs by 8 inputs, four matrices of sums with a column an output, and takes the
// rows in order: 4 loads of a vec4 for 64 products. Those with the first inputs make db as well. With TILED a workgroup
// shares what it reads and takes 4 rows at once (shaders/shared/linear_tiles.wgsl). What is frozen (WEIGHT = 0, BIAS = 0)
// is neither made nor written, and anything may be bound in its place. With PLANES it is that of several layers of one x
// (shaders/shared/linear.wgsl), the biases bound with the weights, and no tile reaches into two planes.
//
//   0 dz       [rows, output_quads]   vec4, zero after the last output
//   1 x        [rows, input_quads]    vec4
//   2 dweight  [outputs, inputs]      vec4; single floats with RAGGED
//   3 dbias    [outputs]
//   4 shape
//   5 squares  with SQUARES: [invocations] of dweight, then of dbias [ceil(outputs / 8)], or with TILED one for each
//              invocation down the first tiles
#import linear
#import values
#import squares
#ifdef TILED
#import linear_tiles
#else
override WORKGROUP: u32 = 64u;
#endif

override BIAS_AT: u32 = 0u;    // with PLANES: vec4s from the first weight to the first bias

@group(0) @binding(0) var<storage, read> dz: array<Stored>;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
#ifdef RAGGED
@group(0) @binding(2) var<storage, read_write> dweight: array<f32>;
#else
@group(0) @binding(2) var<storage, read_write> dweight: array<vec4<f32>>;
#endif
@group(0) @binding(3) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(4) var<uniform> shape: Linear;
#ifdef SQUARES
@group(0) @binding(5) var<storage, read_write> squares: array<Squares>;
#endif

fn height() -> u32 {
    return shape.output_quads;
}

fn breadth() -> u32 {
    return shape.input_quads;
}

fn x_quad(r: u32, q: u32) -> vec4<f32> {
    return wide(x[r * shape.input_quads + q]);
}

fn dz_quad(r: u32, q: u32) -> vec4<f32> {
    return wide(dz[output_at(r, q)]);
}

// The output behind the last one of a plane; 0 for a plane that there is not.
fn end_of(plane: u32) -> u32 {
    return select(0u, (plane + 1u) * shape.outputs, plane < PLANES);
}

// Gives the squares of what it stores, in a plane.
fn store(plane: u32, o: u32, q: u32, sums: vec4<f32>) -> vec2<f32> {
    if (o >= end_of(plane) || q >= shape.input_quads) {
        return vec2<f32>();
    }
#ifdef RAGGED
    var stored = vec4<f32>();
    for (var k = 0u; k < min(4u, shape.inputs - 4u * q); k++) {
        let at = o * shape.inputs + 4u * q + k;
        stored[k] = sums[k];
        if (ACCUMULATE != 0u) {
            stored[k] += dweight[at];
        }
        dweight[at] = stored[k];
    }
#else
    let at = o * shape.input_quads + q + plane * GAP;
    var stored = sums;
    if (ACCUMULATE != 0u) {
        stored += dweight[at];
    }
    dweight[at] = stored;
#endif
    return squares_of(stored);
}

fn store_biases(plane: u32, p: u32, sums: vec4<f32>) -> vec2<f32> {
#ifdef RAGGED
#else
    if (PLANES > 1u) {
        if (4u * p >= end_of(plane)) {
            return vec2<f32>();
        }
        let at = BIAS_AT + p + plane * BIAS_GAP;
        var together = sums;
        if (ACCUMULATE != 0u) {
            together += dweight[at];
        }
        dweight[at] = together;
        return squares_of(together);
    }
#endif
    return store_four_biases(p, sums);
}

#import weight_products

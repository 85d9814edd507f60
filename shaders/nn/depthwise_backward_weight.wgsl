// A depthwise convolution, backward to its weight and bias.
//
//   dW[c, tap] = sum_r dz[r, c] x[pixel_below(r, tap), c]       db[c] = sum_r dz[r, c]
//
// A workgroup makes WORKGROUP / LANES columns, each a quad of channels at a tap: LANES lanes share a column, each takes rows in
// turn, then a fixed tree sums. Neighbouring lanes read neighbouring quads. Those at the first tap make db as well. The first
// micro-batch of a step overwrites, later ones add (ACCUMULATE = 1); frozen parameters (WEIGHT = 0, BIAS = 0) are not written,
// and any range may be bound for them.
//
//   0 dz       [rows, quads]                            vec4, zero after the last channel
//   1 x        [images · in_height · in_width, quads]   vec4, zero after the last channel
//   2 dweight  [channels, taps]
//   3 dbias    [channels]
//   4 shape
//   5 squares  with SQUARES: one for each column that the grid has, then [quads] of dbias
#import conv
#import squares
#import values

override WORKGROUP: u32 = 64u;
override LANES: u32 = 8u;      // a power of two that divides WORKGROUP
override ACCUMULATE: u32 = 0u;
override WEIGHT: u32 = 1u;
override BIAS: u32 = 1u;

@group(0) @binding(0) var<storage, read> dz: array<Stored>;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(3) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(4) var<uniform> shape: Conv;
#ifdef SQUARES
@group(0) @binding(5) var<storage, read_write> squares: array<Squares>;
#endif

var<workgroup> weights: array<vec4<f32>, WORKGROUP>;
var<workgroup> biases: array<vec4<f32>, WORKGROUP>;

// Gives the squares of what it stores.
fn store_weights(q: u32, tap: u32, sums: vec4<f32>) -> vec2<f32> {
    var stored = vec4<f32>();
    for (var n = 0u; n < 4u && 4u * q + n < shape.outputs; n++) {
        let at = (4u * q + n) * taps() + tap;
        stored[n] = sums[n] + select(0.0, dweight[at], ACCUMULATE != 0u);
        dweight[at] = stored[n];
    }
    return squares_of(stored);
}

fn store_biases(q: u32, sums: vec4<f32>) -> vec2<f32> {
    var stored = vec4<f32>();
    for (var n = 0u; n < 4u && 4u * q + n < shape.outputs; n++) {
        let c = 4u * q + n;
        stored[n] = sums[n] + select(0.0, dbias[c], ACCUMULATE != 0u);
        dbias[c] = stored[n];
    }
    return squares_of(stored);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let columns = WORKGROUP / LANES;
    let column = (group.y * grid.x + group.x) * columns + lane % columns;
    // Only biases: the first tap is enough.
    let all = shape.output_quads * select(1u, taps(), WEIGHT != 0u);
    let q = min(column, all - 1u) % shape.output_quads;
    let tap = min(column, all - 1u) / shape.output_quads;
    var weight = vec4<f32>();
    var bias = vec4<f32>();
    for (var r = lane / columns; r < shape.rows; r += LANES) {
        let d = wide(dz[r * shape.output_quads + q]);
        bias += d;
        let pixel = pixel_below(r, tap);
        if (WEIGHT != 0u && pixel != OUTSIDE) {
            weight += d * wide(x[pixel * shape.input_quads + q]);
        }
    }
    weights[lane] = weight;
    biases[lane] = bias;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if (lane / columns < width) {
            weights[lane] += weights[lane + width * columns];
            biases[lane] += biases[lane + width * columns];
        }
        workgroupBarrier();
    }
    if (lane >= columns || column >= all) {
        return;
    }
    if (WEIGHT != 0u) {
        let stored = store_weights(q, tap, weights[lane]);
#ifdef SQUARES
        squares[column] = partial_of(stored);
#endif
    }
    if (BIAS != 0u && tap == 0u) {
        let stored = store_biases(q, biases[lane]);
#ifdef SQUARES
        squares[grid.x * grid.y * columns + q] = partial_of(stored);
#endif
    }
}

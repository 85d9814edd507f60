// A linear layer, backward to its weight and bias.
//
//   dW[o, i] = sum_r dz[r, o] x[r, i]             db[o] = sum_r dz[r, o]
//
// The first micro-batch of a step overwrites the gradients, later ones add (ACCUMULATE = 1): nothing is ever zeroed.
// One invocation makes a tile of 8 outputs by 8 inputs, four matrices of sums with a column an output, and takes the
// rows in order: 4 loads of a vec4 for 64 products. Those with the first inputs make db as well. With TILED a workgroup
// shares what it reads and takes 4 rows at once (shaders/shared/linear_tiles.wgsl). What is frozen (WEIGHT = 0, BIAS = 0)
// is neither made nor written, and anything may be bound in its place. With PLANES it is that of several layers of one x
// (shaders/shared/linear.wgsl), the biases bound with the weights. Each plane has tiles of its own.
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

override ACCUMULATE: u32 = 0u;
override WEIGHT: u32 = 1u;
override BIAS_AT: u32 = 0u;    // with PLANES: vec4s from the first weight to the first bias
override BIAS: u32 = 1u;

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

// A column for each number of d.
fn outer(a: vec4<f32>, d: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(d.x * a, d.y * a, d.z * a, d.w * a);
}

// The output behind the last one of a plane; 0 for a plane that there is not.
fn end_of(plane: u32) -> u32 {
    return select(0u, (plane + 1u) * shape.outputs, plane < PLANES);
}

// These give the squares of what they store, in a plane.
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

fn store_outputs(plane: u32, p: u32, q: u32, sums: mat4x4<f32>) -> vec2<f32> {
    return store(plane, 4u * p, q, sums[0]) + store(plane, 4u * p + 1u, q, sums[1])
        + store(plane, 4u * p + 2u, q, sums[2]) + store(plane, 4u * p + 3u, q, sums[3]);
}

fn store_bias(o: u32, sum: f32) -> f32 {
    if (o >= shape.outputs) {
        return 0.0;
    }
    var stored = sum;
    if (ACCUMULATE != 0u) {
        stored += dbias[o];
    }
    dbias[o] = stored;
    return stored;
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
    let stored = vec4<f32>(
        store_bias(4u * p, sums.x),
        store_bias(4u * p + 1u, sums.y),
        store_bias(4u * p + 2u, sums.z),
        store_bias(4u * p + 3u, sums.w),
    );
    return squares_of(stored);
}

#ifdef TILED
const DOWN_ALONG_K: bool = false;
const ACROSS_ALONG_K: bool = false;

// Outputs 4q .. 4q + 3 of a row; of the last quad if q is past it, 0 if the row is past the last.
fn dz_at(r: u32, q: u32) -> vec4<f32> {
    if (r >= shape.rows) {
        return vec4<f32>();
    }
    return wide(dz[output_at(r, min(q, all_output_quads() - 1u))]);
}

// The same of inputs.
fn x_at(r: u32, q: u32) -> vec4<f32> {
    if (r >= shape.rows) {
        return vec4<f32>();
    }
    return wide(x[r * shape.input_quads + min(q, shape.input_quads - 1u)]);
}

fn down_at(q: u32, k: u32) -> mat4x4<f32> {
    let r = 4u * k;
    return transpose(mat4x4<f32>(dz_at(r, q), dz_at(r + 1u, q), dz_at(r + 2u, q), dz_at(r + 3u, q)));
}

fn across_at(k: u32, q: u32) -> mat4x4<f32> {
    let r = 4u * k;
    return mat4x4<f32>(x_at(r, q), x_at(r + 1u, q), x_at(r + 2u, q), x_at(r + 3u, q));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.y * grid.x + group.x;
    // Only biases: one tile of inputs is enough.
    let across = select(1u, shape.input_quads, WEIGHT != 0u);
    let down_tiles = (shape.output_quads + edge() - 1u) / edge();
    let tiles = down_tiles * ((across + edge() - 1u) / edge());
    let plane = index / tiles;
    var tile = tile_of(index % tiles, lane, across);
    let down_tile = plane * down_tiles + tile.down / edge();
    tile.down += plane * shape.output_quads;
    tile.own_down += plane * shape.output_quads;
    let makes_biases = BIAS != 0u && tile.across == 0u;
    let sums = products(lane, tile, (shape.rows + 3u) / 4u, makes_biases);
    let p = tile.own_down;
    let q = tile.own_across;
    if (WEIGHT != 0u) {
        var stored = store_outputs(plane, p, q, sums.near_near);
        if (QUADS == 2u) {
            stored += store_outputs(plane, p, q + SIDE, sums.near_far)
                + store_outputs(plane, p + SIDE, q, sums.far_near)
                + store_outputs(plane, p + SIDE, q + SIDE, sums.far_far);
        }
#ifdef SQUARES
        squares[index * WORKGROUP + lane] = partial_of(stored);
#endif
    }
    if (makes_biases && lane % SIDE == 0u && plane < PLANES) {
        var stored = store_biases(plane, p, sums.down_near);
        if (QUADS == 2u) {
            stored += store_biases(plane, p + SIDE, sums.down_far);
        }
#ifdef SQUARES
        squares[grid.x * grid.y * WORKGROUP + down_tile * SIDE + lane / SIDE] = partial_of(stored);
#endif
    }
}
#else
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let tile = id.y * grid.x * WORKGROUP + id.x;
    // Only biases: one tile of inputs is enough.
    let across = select(1u, (shape.input_quads + 1u) / 2u, WEIGHT != 0u);
    let q = tile % across * 2u;
    let down_tiles = (shape.output_quads + 1u) / 2u;
    let down_tile = tile / across;
    let plane = down_tile / down_tiles;
    if (plane >= PLANES) {
        return;
    }
    let p = plane * shape.output_quads + down_tile % down_tiles * 2u;
    // The last quad again if the tile reaches past it.
    let q1 = min(q + 1u, shape.input_quads - 1u);
    let p1 = min(p + 1u, all_output_quads() - 1u);
    var sums00 = mat4x4<f32>();
    var sums01 = mat4x4<f32>();
    var sums10 = mat4x4<f32>();
    var sums11 = mat4x4<f32>();
    var bias0 = vec4<f32>();
    var bias1 = vec4<f32>();
    for (var r = 0u; r < shape.rows; r++) {
        let x0 = wide(x[r * shape.input_quads + q]);
        let x1 = wide(x[r * shape.input_quads + q1]);
        let d0 = wide(dz[output_at(r, p)]);
        let d1 = wide(dz[output_at(r, p1)]);
        sums00 += outer(x0, d0);
        sums01 += outer(x1, d0);
        sums10 += outer(x0, d1);
        sums11 += outer(x1, d1);
        bias0 += d0;
        bias1 += d1;
    }
    if (WEIGHT != 0u) {
        let stored = store_outputs(plane, p, q, sums00) + store_outputs(plane, p, q + 1u, sums01)
            + store_outputs(plane, p + 1u, q, sums10) + store_outputs(plane, p + 1u, q + 1u, sums11);
#ifdef SQUARES
        squares[tile] = partial_of(stored);
#endif
    }
    if (BIAS != 0u && q == 0u) {
        let stored = store_biases(plane, p, bias0) + store_biases(plane, p + 1u, bias1);
#ifdef SQUARES
        squares[grid.x * grid.y * WORKGROUP + down_tile] = partial_of(stored);
#endif
    }
}
#endif

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

fn depth() -> u32 {
    return shape.input_quads;
}

fn breadth() -> u32 {
    return all_output_quads();
}

// Inputs 4i .. 4i + 3 of a row; of the last row where r is past it.
fn x_at(r: u32, i: u32) -> vec4<f32> {
    return wide(x[min(r, shape.rows - 1u) * shape.input_quads + i]);
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
#import forward_products
#endif

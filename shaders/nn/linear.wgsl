// A linear layer, forward, with bias and activation folded in.
//
//   z[r, o] = b[o] + sum_i x[r, i] W[o, i]        h = activation(z)
//
// One invocation makes a tile of 4 rows by 4 outputs and takes 4 inputs a turn: 8 loads of a vec4 for 64 products.
//
//   0 x        [rows, input_quads]    vec4
//   1 weight   [outputs, inputs]      vec4; single floats with RAGGED
//   2 bias     [outputs]
//   3 z        [rows, output_quads]   vec4, zero behind the last output
//   4 shape
//   5 h        [rows, output_quads]   with ACTIVATED
#import activation
#import linear

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
#ifdef RAGGED
@group(0) @binding(1) var<storage, read> weight: array<f32>;
#else
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
#endif
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> z: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> shape: Linear;
#ifdef ACTIVATED
@group(0) @binding(5) var<storage, read_write> h: array<vec4<f32>>;
#endif

// Inputs 4q .. 4q + 3 of output o's weights.
fn weight_at(o: u32, q: u32) -> vec4<f32> {
    let row = min(o, shape.outputs - 1u);
#ifdef RAGGED
    var quad = vec4<f32>();
    for (var k = 0u; k < min(4u, shape.inputs - 4u * q); k++) {
        quad[k] = weight[row * shape.inputs + 4u * q + k];
    }
    return quad;
#else
    return weight[row * shape.input_quads + q];
#endif
}

fn store(r: u32, q: u32, sums: vec4<f32>) {
    if (r >= shape.rows) {
        return;
    }
    let o = 4u * q;
    let last = shape.outputs - 1u;
    let b = vec4<f32>(bias[min(o, last)], bias[min(o + 1u, last)], bias[min(o + 2u, last)], bias[min(o + 3u, last)]);
    let value = select(vec4<f32>(), sums + b, o + QUAD < vec4<u32>(shape.outputs));
    z[r * shape.output_quads + q] = value;
#ifdef ACTIVATED
    h[r * shape.output_quads + q] = activate(value);
#endif
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let tile = id.y * grid.x * WORKGROUP + id.x;
    let q = tile % shape.output_quads;
    let r = tile / shape.output_quads * 4u;
    if (r >= shape.rows) {
        return;
    }
    let o = 4u * q;
    let last = shape.rows - 1u;
    let x0 = r * shape.input_quads;
    let x1 = min(r + 1u, last) * shape.input_quads;
    let x2 = min(r + 2u, last) * shape.input_quads;
    let x3 = min(r + 3u, last) * shape.input_quads;
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    for (var i = 0u; i < shape.input_quads; i++) {
        let w0 = weight_at(o, i);
        let w1 = weight_at(o + 1u, i);
        let w2 = weight_at(o + 2u, i);
        let w3 = weight_at(o + 3u, i);
        let a0 = x[x0 + i];
        let a1 = x[x1 + i];
        let a2 = x[x2 + i];
        let a3 = x[x3 + i];
        sum0 += vec4<f32>(dot(a0, w0), dot(a0, w1), dot(a0, w2), dot(a0, w3));
        sum1 += vec4<f32>(dot(a1, w0), dot(a1, w1), dot(a1, w2), dot(a1, w3));
        sum2 += vec4<f32>(dot(a2, w0), dot(a2, w1), dot(a2, w2), dot(a2, w3));
        sum3 += vec4<f32>(dot(a3, w0), dot(a3, w1), dot(a3, w2), dot(a3, w3));
    }
    store(r, q, sum0);
    store(r + 1u, q, sum1);
    store(r + 2u, q, sum2);
    store(r + 3u, q, sum3);
}

// A linear layer, backward to its input and through the activation below it.
//
//   dz_below[r, i] = activation'(z_below[r, i]) sum_o dz[r, o] W[o, i]
//
// One invocation makes a tile of 4 rows by 4 inputs and takes 4 outputs a turn: 8 loads of a vec4 for 64 products.
//
//   0 dz       [rows, output_quads]   vec4, zero behind the last output
//   1 weight   [outputs, inputs]      vec4; single floats with RAGGED
//   2 z_below  [rows, input_quads]    vec4
//   3 dz_below [rows, input_quads]    vec4, zero behind the last input
//   4 shape
#import activation
#import linear

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> dz: array<vec4<f32>>;
#ifdef RAGGED
@group(0) @binding(1) var<storage, read> weight: array<f32>;
#else
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
#endif
@group(0) @binding(2) var<storage, read> z_below: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dz_below: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> shape: Linear;

// Inputs 4q .. 4q + 3 of output o's weights; dz is 0 where o is past the last output.
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
    let at = r * shape.input_quads + q;
    let value = sums * activate_derivative(z_below[at]);
    dz_below[at] = select(vec4<f32>(), value, 4u * q + QUAD < vec4<u32>(shape.inputs));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let tile = id.y * grid.x * WORKGROUP + id.x;
    let q = tile % shape.input_quads;
    let r = tile / shape.input_quads * 4u;
    if (r >= shape.rows) {
        return;
    }
    let last = shape.rows - 1u;
    let d0 = r * shape.output_quads;
    let d1 = min(r + 1u, last) * shape.output_quads;
    let d2 = min(r + 2u, last) * shape.output_quads;
    let d3 = min(r + 3u, last) * shape.output_quads;
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    for (var o = 0u; o < shape.output_quads; o++) {
        let w0 = weight_at(4u * o, q);
        let w1 = weight_at(4u * o + 1u, q);
        let w2 = weight_at(4u * o + 2u, q);
        let w3 = weight_at(4u * o + 3u, q);
        let a0 = dz[d0 + o];
        let a1 = dz[d1 + o];
        let a2 = dz[d2 + o];
        let a3 = dz[d3 + o];
        sum0 += a0.x * w0 + a0.y * w1 + a0.z * w2 + a0.w * w3;
        sum1 += a1.x * w0 + a1.y * w1 + a1.z * w2 + a1.w * w3;
        sum2 += a2.x * w0 + a2.y * w1 + a2.z * w2 + a2.w * w3;
        sum3 += a3.x * w0 + a3.y * w1 + a3.z * w2 + a3.w * w3;
    }
    store(r, q, sum0);
    store(r + 1u, q, sum1);
    store(r + 2u, q, sum2);
    store(r + 3u, q, sum3);
}

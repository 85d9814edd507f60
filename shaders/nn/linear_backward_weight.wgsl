// A linear layer, backward to its weight and bias.
//
//   dW[o, i] = sum_r dz[r, o] x[r, i]             db[o] = sum_r dz[r, o]
//
// The first micro-batch of a step overwrites the gradients, later ones add (ACCUMULATE = 1): nothing is ever zeroed.
// One invocation makes a tile of 4 outputs by 4 inputs, the rows in order; those with the first inputs make db as well.
//
//   0 dz       [rows, output_quads]   vec4, zero behind the last output
//   1 x        [rows, input_quads]    vec4
//   2 dweight  [outputs, inputs]      vec4; single floats with RAGGED
//   3 dbias    [outputs]
//   4 shape
#import linear

override WORKGROUP: u32 = 64u;
override ACCUMULATE: u32 = 0u;

@group(0) @binding(0) var<storage, read> dz: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
#ifdef RAGGED
@group(0) @binding(2) var<storage, read_write> dweight: array<f32>;
#else
@group(0) @binding(2) var<storage, read_write> dweight: array<vec4<f32>>;
#endif
@group(0) @binding(3) var<storage, read_write> dbias: array<f32>;
@group(0) @binding(4) var<uniform> shape: Linear;

fn store(o: u32, q: u32, sums: vec4<f32>) {
    if (o >= shape.outputs) {
        return;
    }
#ifdef RAGGED
    for (var k = 0u; k < min(4u, shape.inputs - 4u * q); k++) {
        let at = o * shape.inputs + 4u * q + k;
        if (ACCUMULATE != 0u) {
            dweight[at] += sums[k];
        } else {
            dweight[at] = sums[k];
        }
    }
#else
    let at = o * shape.input_quads + q;
    if (ACCUMULATE != 0u) {
        dweight[at] += sums;
    } else {
        dweight[at] = sums;
    }
#endif
}

fn store_bias(o: u32, sum: f32) {
    if (o >= shape.outputs) {
        return;
    }
    if (ACCUMULATE != 0u) {
        dbias[o] += sum;
    } else {
        dbias[o] = sum;
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let tile = id.y * grid.x * WORKGROUP + id.x;
    let q = tile % shape.input_quads;
    let p = tile / shape.input_quads;
    if (p >= shape.output_quads) {
        return;
    }
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    var bias = vec4<f32>();
    for (var r = 0u; r < shape.rows; r++) {
        let d = dz[r * shape.output_quads + p];
        let a = x[r * shape.input_quads + q];
        sum0 += d.x * a;
        sum1 += d.y * a;
        sum2 += d.z * a;
        sum3 += d.w * a;
        bias += d;
    }
    let o = 4u * p;
    store(o, q, sum0);
    store(o + 1u, q, sum1);
    store(o + 2u, q, sum2);
    store(o + 3u, q, sum3);
    if (q == 0u) {
        store_bias(o, bias.x);
        store_bias(o + 1u, bias.y);
        store_bias(o + 2u, bias.z);
        store_bias(o + 3u, bias.w);
    }
}

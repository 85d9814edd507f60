// A depthwise convolution, forward (Sifre & Mallat 2014): a convolution with a group for each channel.
//
//   z[r, c] = b[c] + sum_tap x[pixel_below(r, tap), c] W[c, tap]
//
// One invocation makes a vec4 of z. Without a bias (BIAS = 0) what is bound in its place is not read.
//
//   0 x        [images · in_height · in_width, quads]   vec4, zero after the last channel
//   1 weight   [channels, taps]
//   2 bias     [channels]
//   3 z        [rows, quads]                            vec4, zero after the last channel
//   4 shape
#import depthwise
#import values

override WORKGROUP: u32 = 64u;
override BIAS: u32 = 1u;

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> z: array<Stored>;
@group(0) @binding(4) var<uniform> shape: Conv;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    if (at >= shape.rows * shape.output_quads) {
        return;
    }
    let q = at % shape.output_quads;
    let columns = 4u * q + QUAD;
    var sums = vec4<f32>();
    for (var tap = 0u; tap < taps(); tap++) {
        let pixel = pixel_below(at / shape.output_quads, tap);
        if (pixel != OUTSIDE) {
            sums += wide(x[pixel * shape.input_quads + q]) * weights_at(q, tap);
        }
    }
    if (BIAS != 0u) {
        let c = min(columns, vec4<u32>(shape.outputs - 1u));
        sums += vec4<f32>(bias[c.x], bias[c.y], bias[c.z], bias[c.w]);
    }
    z[at] = narrow(select(vec4<f32>(), sums, columns < vec4<u32>(shape.outputs)));
}

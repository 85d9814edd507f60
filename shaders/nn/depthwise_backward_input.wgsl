// A depthwise convolution, backward to its input.
//
//   dx[r, c] = sum_tap dz[pixel_above(r, tap), c] W[c, tap]
//
// Rows are the pixels of x. One invocation makes a vec4 of dx. With ACCUMULATE = 1 the result joins what is there.
//
//   0 dz       [images · out_height · out_width, quads]   vec4, zero after the last channel
//   1 weight   [channels, taps]
//   2 dx       [rows, quads]                              vec4, zero after the last channel
//   3 shape
#import depthwise
#import values

override WORKGROUP: u32 = 64u;
override ACCUMULATE: u32 = 0u;

@group(0) @binding(0) var<storage, read> dz: array<Stored>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(3) var<uniform> shape: Conv;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    if (at >= shape.rows * shape.input_quads) {
        return;
    }
    let q = at % shape.input_quads;
    var sums = vec4<f32>();
    for (var tap = 0u; tap < taps(); tap++) {
        let pixel = pixel_above(at / shape.input_quads, tap);
        if (pixel != OUTSIDE) {
            sums += wide(dz[pixel * shape.output_quads + q]) * weights_at(q, tap);
        }
    }
    sums = select(vec4<f32>(), sums, 4u * q + QUAD < vec4<u32>(shape.inputs));
    if (ACCUMULATE != 0u) {
        sums += wide(dx[at]);
    }
    dx[at] = narrow(sums);
}

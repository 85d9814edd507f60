// The largest number below each place of a window, or the mean, backward.
//
//   dx[r, c] = sum_tap dy[pixel_above(r, tap), c] [which[pixel_above(r, tap), c] = tap]
//   dx[r, c] = sum_tap dy[pixel_above(r, tap), c] / taps                                  with MEAN = 1
//
// Rows are the pixels of x. One invocation makes a vec4. With ACCUMULATE = 1 the result joins what is there.
//
//   0 dy       [images · out_height · out_width, quads]   vec4, zero after the last channel
//   1 which    [images · out_height · out_width, quads]   vec4; not read with MEAN
//   2 dx       [rows, quads]                              vec4, zero after the last channel
//   3 shape
#import conv
#import values

override WORKGROUP: u32 = 64u;
override ACCUMULATE: u32 = 0u;
override MEAN: u32 = 0u;

@group(0) @binding(0) var<storage, read> dy: array<Stored>;
@group(0) @binding(1) var<storage, read> which: array<vec4<u32>>;
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
        if (pixel == OUTSIDE) {
            continue;
        }
        let d = wide(dy[pixel * shape.output_quads + q]);
        if (MEAN != 0u) {
            sums += d / f32(taps());
        } else {
            sums += select(vec4<f32>(), d, which[pixel * shape.output_quads + q] == vec4<u32>(tap));
        }
    }
    if (ACCUMULATE != 0u) {
        sums += wide(dx[at]);
    }
    dx[at] = narrow(sums);
}

// The largest number below each place of a window, or the mean, of each channel.
//
//   y[r, c] = max_tap x[pixel_below(r, tap), c]               which[r, c] = the first such tap
//   y[r, c] = sum_tap x[pixel_below(r, tap), c] / taps        with MEAN = 1
//
// Pixels outside of the picture are 0 for a mean, and nothing for a maximum. A NaN is larger than any number, as in PyTorch. One
// invocation makes a vec4.
//
//   0 x        [images · in_height · in_width, quads]   vec4, zero after the last channel
//   1 y        [rows, quads]                            vec4, zero after the last channel
//   2 which    [rows, quads]                            vec4; not written with MEAN
//   3 shape
#import conv
#import float
#import values

override WORKGROUP: u32 = 64u;
override MEAN: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;
@group(0) @binding(2) var<storage, read_write> which: array<vec4<u32>>;
@group(0) @binding(3) var<uniform> shape: Conv;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    if (at >= shape.rows * shape.output_quads) {
        return;
    }
    let q = at % shape.output_quads;
    var sum = vec4<f32>();
    var largest = vec4<f32>();
    var taken = vec4<u32>(OUTSIDE);
    for (var tap = 0u; tap < taps(); tap++) {
        let pixel = pixel_below(at / shape.output_quads, tap);
        if (pixel == OUTSIDE) {
            continue;
        }
        let values = wide(x[pixel * shape.input_quads + q]);
        sum += values;
        let old = are_nan(opaque(largest, shape.zero));
        let larger = (taken == vec4<u32>(OUTSIDE)) | ((values > largest) | are_nan(opaque(values, shape.zero))) & !old;
        largest = select(largest, values, larger);
        taken = select(taken, vec4<u32>(tap), larger);
    }
    if (MEAN != 0u) {
        y[at] = narrow(sum / f32(taps()));
    } else {
        y[at] = narrow(largest);
        which[at] = taken;
    }
}

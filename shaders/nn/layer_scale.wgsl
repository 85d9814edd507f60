// LayerScale: every column by a learnt number (Touvron et al. 2021), and a residual added.
//
//   y[r, c] = x[r, c] scale[c] (+ residual[r, c])
//
// Without a residual it is its own backward pass to the input, over the gradient of y.
//
//   0 x        [rows, quads]   vec4, zero after the last column
//   1 scale    [width]
//   2 y        [rows, quads]   vec4, zero after the last column
//   3 shape
//   4 residual [rows, quads]   with RESIDUAL: vec4, zero after the last column
#import layer_scale
#import quad
#import values

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read> scale: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<Stored>;
@group(0) @binding(3) var<uniform> shape: LayerScale;
#ifdef RESIDUAL
@group(0) @binding(4) var<storage, read> residual: array<Stored>;
#endif

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    if (at / shape.quads >= shape.rows) {
        return;
    }
    let c = min(4u * (at % shape.quads) + QUAD, vec4<u32>(shape.width - 1u));
    var value = wide(x[at]) * vec4<f32>(scale[c.x], scale[c.y], scale[c.z], scale[c.w]);
#ifdef RESIDUAL
    value += wide(residual[at]);
#endif
    y[at] = narrow(value);
}

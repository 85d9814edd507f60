// The sum of two values.
//
//   y[i] = x[i] + residual[i]
//
//   0 x        [quads]   vec4
//   1 residual [quads]   vec4
//   2 y        [quads]   vec4
//   3 shape
#import elements
#import values

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read> residual: array<Stored>;
@group(0) @binding(2) var<storage, read_write> y: array<Stored>;
@group(0) @binding(3) var<uniform> shape: Elements;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    if (at >= shape.quads) {
        return;
    }
    y[at] = narrow(wide(x[at]) + wide(residual[at]));
}

// The gradient of an activation's argument.
//
//   dz[i] = activation'(z[i]) dh[i]               added to what is there with ACCUMULATE
//
//   0 z        [quads]   vec4
//   1 dh       [quads]   vec4
//   2 dz       [quads]   vec4
//   3 shape
#import activation
#import elements
#import values

override WORKGROUP: u32 = 64u;
override ACCUMULATE: u32 = 0u;

@group(0) @binding(0) var<storage, read> z: array<Stored>;
@group(0) @binding(1) var<storage, read> dh: array<Stored>;
@group(0) @binding(2) var<storage, read_write> dz: array<Stored>;
@group(0) @binding(3) var<uniform> shape: Elements;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    if (at >= shape.quads) {
        return;
    }
    let argument = wide(z[at]);
    var gradient = wide(dh[at]) * activate_derivative(argument, bitcast<vec4<u32>>(argument));
    if (ACCUMULATE != 0u) {
        gradient += wide(dz[at]);
    }
    dz[at] = narrow(gradient);
}

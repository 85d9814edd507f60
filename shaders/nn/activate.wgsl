// An activation for itself, if none is folded into a linear layer.
//
//   h[i] = activation(z[i])                       of ACTIVATION, see activation.wgsl
//
//   0 z        [quads]   vec4
//   1 h        [quads]   vec4
//   2 shape
//
// Every activation of 0 is 0, so what is zero after the last column stays so.
#import activation
#import elements
#import values

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> z: array<Stored>;
@group(0) @binding(1) var<storage, read_write> h: array<Stored>;
@group(0) @binding(2) var<uniform> shape: Elements;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    if (at >= shape.quads) {
        return;
    }
    let value = wide(z[at]);
    h[at] = narrow(activate(value, bitcast<vec4<u32>>(value)));
}

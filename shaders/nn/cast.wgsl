// A value as another kernel stores it.
//
//   y[i] = x[i]            with WIDENED x is stored in 16 bits and y is f32, else the other way round
//
//   0 x        [quads]   vec4
//   1 y        [quads]   vec4
//   2 shape
#import elements
#import values

override WORKGROUP: u32 = 64u;

#ifdef WIDENED
@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
#else
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;
#endif
@group(0) @binding(2) var<uniform> shape: Elements;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    if (at >= shape.quads) {
        return;
    }
#ifdef WIDENED
    y[at] = wide(x[at]);
#else
    y[at] = narrow(x[at]);
#endif
}

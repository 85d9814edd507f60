// Dropout (Srivastava et al. 2014), inverted as in PyTorch, and stochastic depth (Huang et al. 2016), which drops all elements of an
// example together. Forward and backward are the same.
//
//   y[i] = x[i] factor(key, i)                    factor: 1 / (1 - p), or 0 with probability p
//   y[i] = residual[i] + x[i] factor(key, i)      with RESIDUAL
//
// A dropped NaN stays NaN, as in PyTorch. Evaluation has no such dispatch.
//
//   0 x        [quads]                vec4
//   1 y        [quads]                vec4
//   2 position
//   3 shape
//   4 residual [quads]                with RESIDUAL
#import dropout
#import values

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;
@group(0) @binding(2) var<storage, read> position: Position;
@group(0) @binding(3) var<uniform> shape: Dropout;
#ifdef RESIDUAL
@group(0) @binding(4) var<storage, read> residual: array<Stored>;
#endif

// What the elements of a vec4 are multiplied by.
fn factors(at: u32) -> vec4<f32> {
    let key = dropout_key(shape, position);
    if (shape.together > 0u) {
        return vec4<f32>(dropout_factor(shape, key, at / shape.together));
    }
    return vec4<f32>(
        dropout_factor(shape, key, 4u * at),
        dropout_factor(shape, key, 4u * at + 1u),
        dropout_factor(shape, key, 4u * at + 2u),
        dropout_factor(shape, key, 4u * at + 3u),
    );
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    if (at >= shape.quads) {
        return;
    }
#ifdef RESIDUAL
    y[at] = narrow(wide(residual[at]) + wide(x[at]) * factors(at));
#else
    y[at] = narrow(wide(x[at]) * factors(at));
#endif
}

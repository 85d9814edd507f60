// What the kernels of AdamW share: their bindings, the streams of parameters and gradients, and the step of four elements.
// How moments are stored, the alias Stored, is the kernel's own import.
#import control
#import table
#import chunk
#import float

@group(0) @binding(0) var<storage, read> chunks: array<Chunk>;
@group(0) @binding(1) var<storage, read> control: Control;
@group(0) @binding(2) var<storage, read_write> m: array<Stored>;
@group(0) @binding(3) var<storage, read_write> v: array<Stored>;
#ifdef IN_PLACE
@group(0) @binding(4) var<storage, read_write> params: array<f32>;
@group(0) @binding(5) var<storage, read_write> grads: array<f32>;
#else
@group(0) @binding(4) var<storage, read_write> params: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> grads: array<vec4<f32>>;
#endif
@group(0) @binding(6) var<uniform> segment: Segment;
#ifdef AMSGRAD
@group(0) @binding(7) var<storage, read_write> v_max: array<Stored>;
const AVERAGE_BINDING: u32 = 8u;
#else
const AVERAGE_BINDING: u32 = 7u;
#endif
#ifdef AVERAGE
@group(0) @binding(AVERAGE_BINDING) var<storage, read_write> average: array<vec4<f32>>;
#endif

// Four parameters and their moments.
struct Quad {
    p: vec4<f32>,
    m: vec4<f32>,
    v: vec4<f32>,
    v_max: vec4<f32>,          // with AMSGRAD
}

#ifdef IN_PLACE
fn params_at(first: u32, live: u32) -> vec4<f32> {
    var quad = vec4<f32>();
    for (var k = 0u; k < min(live, 4u); k++) {
        quad[k] = params[first + k];
    }
    return quad;
}

fn grads_at(first: u32, live: u32) -> vec4<f32> {
    var quad = vec4<f32>();
    for (var k = 0u; k < min(live, 4u); k++) {
        quad[k] = grads[first + k];
    }
    return quad;
}

fn put_params(first: u32, live: u32, old: vec4<f32>, p: vec4<f32>) {
    for (var k = 0u; k < min(live, 4u); k++) {
        params[first + k] = p[k];
    }
}
#else
fn params_at(first: u32, live: u32) -> vec4<f32> {
    return params[first / 4u];
}

fn grads_at(first: u32, live: u32) -> vec4<f32> {
    return grads[first / 4u];
}

fn put_params(first: u32, live: u32, old: vec4<f32>, p: vec4<f32>) {
    var quad = p;
    if (live < 4u) {    // what lies behind the tensor's end stays as it was
        quad = select(old, p, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(live));
    }
    params[first / 4u] = quad;
}
#endif

fn stepped(record: Record, value_bound: f32, gradient: vec4<f32>, old: Quad) -> Quad {
    var g = gradient;
    if (value_bound > 0.0) {
        g = clamp_value(g, value_bound);
    }
    g = record.scale * g;
    var next = old;
    if (record.coupled_decay != 0.0) {
        g = g + record.coupled_decay * old.p;
    } else {
        next.p = old.p * record.decay;
    }
    next.m = old.m + record.one_minus_beta1 * (g - old.m);
    next.v = record.beta2 * old.v + (record.one_minus_beta2 * g) * g;   // g² alone may overflow where this does not
    var root = next.v;
#ifdef AMSGRAD
    if ((record.flags & AMSGRAD) != 0u) {
        root = select(max(old.v_max, next.v), next.v, are_nan(next.v));    // a NaN stays, as in torch.maximum
        next.v_max = root;
    }
#endif
    next.p = next.p - record.step_size * (next.m / (sqrt(root) * record.root_scale + record.eps));
    return next;
}

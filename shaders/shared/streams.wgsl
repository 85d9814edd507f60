// Parameters and gradients of an update, four at a time, in f32; single floats with IN_PLACE. `first` is an element of the
// page, and `live` elements from there on are the tensor's.

#ifdef IN_PLACE
@group(0) @binding(4) var<storage, read_write> params: array<f32>;
@group(0) @binding(5) var<storage, read_write> grads: array<f32>;
#else
@group(0) @binding(4) var<storage, read_write> params: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> grads: array<vec4<f32>>;
#endif

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

fn put_params(first: u32, live: u32, old: vec4<f32>, p: vec4<f32>, words: vec4<u32>) {
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

fn put_params(first: u32, live: u32, old: vec4<f32>, p: vec4<f32>, words: vec4<u32>) {
    var quad = p;
    if (live < 4u) {    // what lies behind the tensor's end stays as it was
        quad = select(old, p, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(live));
    }
    params[first / 4u] = quad;
}
#endif

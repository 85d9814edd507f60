// Parameters and gradients of an update, four at a time, in f32. `first` is an element of the page, and `live` elements from
// there on are the tensor's.
//
// With SINGLE_GRADS gradients are bound as single floats: they may start anywhere, and may share the parameters'
// buffer. With SINGLE_PARAMS parameters are too. Elements after the tensor's end then belong to others, and count as 0.
// The importing shader declares both bindings.

#ifdef SINGLE_PARAMS
@group(0) @binding(PARAMS_BINDING) var<storage, read_write> params: array<f32>;
#else
@group(0) @binding(PARAMS_BINDING) var<storage, read_write> params: array<vec4<f32>>;
#endif
#ifdef SINGLE_GRADS
@group(0) @binding(GRADS_BINDING) var<storage, read_write> grads: array<f32>;
#else
@group(0) @binding(GRADS_BINDING) var<storage, read> grads: array<vec4<f32>>;
#endif

#ifdef SINGLE_GRADS
fn alive(quad: vec4<f32>, live: u32) -> vec4<f32> {
    return select(vec4<f32>(), quad, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(live));
}
#endif

fn params_at(first: u32, live: u32) -> vec4<f32> {
#ifdef SINGLE_PARAMS
    return alive(vec4<f32>(params[first], params[first + 1u], params[first + 2u], params[first + 3u]), live);
#else
    return params[first / 4u];
#endif
}

fn grads_at(first: u32, live: u32) -> vec4<f32> {
#ifdef SINGLE_GRADS
    return alive(vec4<f32>(grads[first], grads[first + 1u], grads[first + 2u], grads[first + 3u]), live);
#else
    return grads[first / 4u];
#endif
}

fn put_params(first: u32, live: u32, old: vec4<f32>, p: vec4<f32>, words: vec4<u32>) {
#ifdef SINGLE_PARAMS
    for (var k = 0u; k < min(live, 4u); k++) {
        params[first + k] = p[k];
    }
#else
    var quad = p;
    if (live < 4u) {    // what lies after the tensor's end stays as it was
        quad = select(old, p, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(live));
    }
    params[first / 4u] = quad;
#endif
}

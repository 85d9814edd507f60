// Parameters of an update, four at a time, in bf16, and gradients in f32, or in bf16 with GRADS16. `first` is an element of the
// page, and `live` elements from there on are the tensor's.
//
// A parameter is rounded stochastically, by its own random word: a step smaller than its last bit is right on average.
// The importing shader has `segment: Segment`.
#import bf16

@group(0) @binding(PARAMS_BINDING) var<storage, read_write> params: array<vec2<u32>>;
#ifdef GRADS16
@group(0) @binding(GRADS_BINDING) var<storage, read> grads: array<vec2<u32>>;
#else
@group(0) @binding(GRADS_BINDING) var<storage, read> grads: array<vec4<f32>>;
#endif

fn params_at(first: u32, live: u32) -> vec4<f32> {
    return widened(params[first / 4u]);
}

fn grads_at(first: u32, live: u32) -> vec4<f32> {
#ifdef GRADS16
    return widened(grads[first / 4u]);
#else
    return grads[first / 4u];
#endif
}

fn put_params(first: u32, live: u32, old: vec4<f32>, p: vec4<f32>, words: vec4<u32>) {
    var halves = bf16_by(opaque(p, segment.zero), words & vec4<u32>(0xffffu));
    if (live < 4u) {    // what lies after the tensor's end stays as it was
        halves = select(bitcast<vec4<u32>>(old) >> vec4<u32>(16u), halves, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(live));
    }
    params[first / 4u] = joined(halves);
}

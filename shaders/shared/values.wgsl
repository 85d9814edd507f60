// How a kernel stores its values: activations and their gradients, four numbers at a time. Sums are f32 in any case.
//
//   f32
//   bf16   with VALUES16
//   f16    with VALUES_F16, by its bits: an adapter needs no such type
//
// The nearest is of two equally near the even one, as in torch. Too large a number becomes infinite, a NaN the quiet one.
#ifdef VALUES16
#import bf16

alias Stored = vec2<u32>;

fn wide(words: Stored) -> vec4<f32> {
    return widened(words);
}

fn narrow(x: vec4<f32>) -> Stored {
    return joined(bf16(bitcast<vec4<u32>>(x)));
}
#else
#ifdef VALUES_F16
#import bf16

alias Stored = vec2<u32>;

// An adapter may take a subnormal f16 for 0, so these are made of their mantissas.
fn wide(words: Stored) -> vec4<f32> {
    let halves = vec4<u32>(words.x & 0xffffu, words.x >> 16u, words.y & 0xffffu, words.y >> 16u);
    let magnitude = halves & vec4<u32>(0x7fffu);
    let sign = (halves & vec4<u32>(0x8000u)) << vec4<u32>(16u);
    // Exponents of f16 begin 112 lower; those of infinity and NaN end 224 lower.
    let top = select(vec4<u32>(0x38000000u), vec4<u32>(0x70000000u), magnitude >= vec4<u32>(0x7c00u));
    let normal = (magnitude << vec4<u32>(13u)) + top;
    let small = bitcast<vec4<u32>>(vec4<f32>(magnitude) * 5.9604645e-8);
    return bitcast<vec4<f32>>(sign | select(normal, small, magnitude < vec4<u32>(0x400u)));
}

fn narrow(x: vec4<f32>) -> Stored {
    let bits = bitcast<vec4<u32>>(x);
    let magnitude = bits & vec4<u32>(MAGNITUDE);
    let even = (magnitude >> vec4<u32>(13u)) & vec4<u32>(1u);
    let normal = (magnitude + vec4<u32>(0xc8000fffu) + even) >> vec4<u32>(13u);
    // Next to 0.5 the last bit of an f32 is that of the smallest f16.
    let small = bitcast<vec4<u32>>(abs(x) + 0.5) - vec4<u32>(0x3f000000u);
    var halves = select(normal, small, magnitude < vec4<u32>(0x38800000u));
    halves = select(halves, vec4<u32>(0x7c00u), magnitude >= vec4<u32>(0x47800000u));
    halves = select(halves, vec4<u32>(0x7e00u), are_nan(bits));
    return joined(halves | ((bits >> vec4<u32>(16u)) & vec4<u32>(0x8000u)));
}
#else
alias Stored = vec4<f32>;

fn wide(x: Stored) -> vec4<f32> {
    return x;
}

fn narrow(x: vec4<f32>) -> Stored {
    return x;
}
#endif
#endif

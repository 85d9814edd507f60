// bf16, the upper half of an f32; two words hold four, the even one of two in the lower half.
//
// Rounds to the nearest, ties to even, as in torch: too large a number becomes infinite, a NaN the quiet one. Numbers
// are given by their bits, loaded or opaque (float.wgsl).
#import float

fn bf16(bits: vec4<u32>) -> vec4<u32> {
    return bf16_by(bits, vec4<u32>(0x7fffu) + ((bits >> vec4<u32>(16u)) & vec4<u32>(1u)));
}

// The one below in magnitude, or the one above if u, in parts of 65536, and what is cut off make a whole.
fn bf16_by(bits: vec4<u32>, u: vec4<u32>) -> vec4<u32> {
    return select((bits + u) >> vec4<u32>(16u), vec4<u32>(QUIET_NAN >> 16u), are_nan(bits));
}

fn widened(words: vec2<u32>) -> vec4<f32> {
    let low = words << vec2<u32>(16u);
    let high = words & vec2<u32>(0xffff0000u);
    return bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y));
}

fn joined(halves: vec4<u32>) -> vec2<u32> {
    return halves.xz | (halves.yw << vec2<u32>(16u));
}

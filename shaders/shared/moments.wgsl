// Moments as they are stored: what an invocation takes at a time, 16 bytes. With BF16 these are 8 elements, the even one
// of two in the lower half of a word; else 4.
//
// bf16 is the upper half of an f32. What is stored is the nearest one, of two equally near the even one, as torch does
// it: too large a number becomes infinite, a NaN the quiet one.

#import float

#ifdef BF16
alias Stored = vec4<u32>;
const STORED_QUADS: u32 = 2u;

fn bf16(x: vec4<f32>) -> vec4<u32> {
    let bits = bitcast<vec4<u32>>(x);
    let nearest = (bits + 0x7fffu + ((bits >> vec4<u32>(16u)) & vec4<u32>(1u))) >> vec4<u32>(16u);
    return select(nearest, vec4<u32>(0x7fc0u), are_nan(x));
}

// Quad k, widened.
fn quad_of(stored: Stored, k: u32) -> vec4<f32> {
    let words = select(stored.xy, stored.zw, k == 1u);
    let low = words << vec2<u32>(16u);
    let high = words & vec2<u32>(0xffff0000u);
    return bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y));
}

// The same with another quad k.
fn with_quad(stored: Stored, k: u32, quad: vec4<f32>) -> Stored {
    let halves = bf16(quad);
    let words = halves.xz | (halves.yw << vec2<u32>(16u));
    return select(vec4<u32>(words, stored.zw), vec4<u32>(stored.xy, words), k == 1u);
}
#else
alias Stored = vec4<f32>;
const STORED_QUADS: u32 = 1u;

fn quad_of(stored: Stored, k: u32) -> vec4<f32> {
    return stored;
}

fn with_quad(stored: Stored, k: u32, quad: vec4<f32>) -> Stored {
    return quad;
}
#endif

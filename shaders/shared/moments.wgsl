// Stored moments: an invocation takes 16 bytes at a time. With BF16 these are 8 elements, the even one of two in the
// lower half of a word; else 4. The importing shader has `segment: Segment`.
#import bf16

#ifdef BF16
alias Stored = vec4<u32>;
const STORED_QUADS: u32 = 2u;

// Quad k, widened.
fn quad_of(stored: Stored, k: u32) -> vec4<f32> {
    return widened(select(stored.xy, stored.zw, k == 1u));
}

// The same with another quad k.
fn with_quad(stored: Stored, k: u32, quad: vec4<f32>) -> Stored {
    let words = joined(bf16(opaque(quad, segment.zero)));
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

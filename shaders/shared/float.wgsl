// What WGSL does not promise about floats: a compiler may assume that inf and NaN never occur, as Metal's does by
// default. Then min, max, comparisons, exp and tanh may turn a NaN into a number, and a question about the bits of a
// computed number may be folded. So these functions ask about bits of two kinds only: loaded ones, from a buffer or
// from workgroup memory after a barrier, which a compiler cannot know, and `opaque` ones.

const EXPONENT: u32 = 0x7f800000u;
const MAGNITUDE: u32 = 0x7fffffffu;
const QUIET_NAN: u32 = 0x7fc00000u;

// Bits of what was computed. `zero` is 0 and comes from the host, which no compiler knows.
fn opaque(x: vec4<f32>, zero: u32) -> vec4<u32> {
    return bitcast<vec4<u32>>(x) ^ vec4<u32>(zero);
}

fn is_nonfinite(bits: u32) -> bool {
    return (bits & EXPONENT) == EXPONENT;
}

fn is_nan(bits: u32) -> bool {
    return (bits & MAGNITUDE) > EXPONENT;
}

fn are_nonfinite(bits: vec4<u32>) -> vec4<bool> {
    return (bits & vec4<u32>(EXPONENT)) == vec4<u32>(EXPONENT);
}

fn are_nan(bits: vec4<u32>) -> vec4<bool> {
    return (bits & vec4<u32>(MAGNITUDE)) > vec4<u32>(EXPONENT);
}

// The larger of two magnitudes, and of a number and a NaN the NaN (torch.maximum): integers have this order.
fn larger(a: f32, b: f32) -> f32 {
    return bitcast<f32>(max(bitcast<u32>(a) & MAGNITUDE, bitcast<u32>(b) & MAGNITUDE));
}

// The same of four.
fn larger_each(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let magnitude = vec4<u32>(MAGNITUDE);
    return bitcast<vec4<f32>>(max(bitcast<vec4<u32>>(a) & magnitude, bitcast<vec4<u32>>(b) & magnitude));
}

// Clamps what was loaded to +-bound; NaN stays NaN (torch.nn.utils.clip_grad_value_).
fn clamp_value(x: vec4<f32>, bound: f32) -> vec4<f32> {
    return select(clamp(x, vec4<f32>(-bound), vec4<f32>(bound)), x, are_nan(bitcast<vec4<u32>>(x)));
}

// From a to b by rate, exact at both ends (torch.lerp).
fn lerp(a: vec4<f32>, b: vec4<f32>, rate: f32) -> vec4<f32> {
    return select(b - (1.0 - rate) * (b - a), a + rate * (b - a), rate < 0.5);
}

// Joins two parts of a norm of this kind (1: sum |g|, 2: sum g², 3: max |g|).
fn join(kind: u32, a: f32, b: f32) -> f32 {
    if (kind == 3u) {
        return larger(a, b);
    }
    return a + b;
}

// 1 - e^x for x <= 0, to about 3e-7 relative also where e^x is next to 1.
// With y = 1 - e^(x/2): 1 - e^x = y (2 - y). So halve until the series is short, then double back.
fn one_minus_exp(x: f32) -> f32 {
    var reduced = max(x, -100.0);
    var doublings = 0u;
    while (reduced < -0.5) {
        reduced = reduced * 0.5;
        doublings += 1u;
    }
    // e^r - 1 = r (1 + r/2 (1 + r/3 (1 + ...))), |r| <= 1/2
    var series = 1.0;
    for (var k = 9u; k >= 2u; k--) {
        series = 1.0 + reduced / f32(k) * series;
    }
    var y = -reduced * series;
    for (; doublings > 0u; doublings--) {
        y = y * (2.0 - y);
    }
    return y;
}

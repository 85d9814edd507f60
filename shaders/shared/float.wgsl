// What WGSL does not promise about floats: it may assume that inf and NaN never occur, so they are told by their bits.

const EXPONENT: u32 = 0x7f800000u;

fn is_nonfinite(x: f32) -> bool {
    return (bitcast<u32>(x) & EXPONENT) == EXPONENT;
}

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > EXPONENT;
}

fn any_nonfinite(x: vec4<f32>) -> bool {
    return any((bitcast<vec4<u32>>(x) & vec4<u32>(EXPONENT)) == vec4<u32>(EXPONENT));
}

fn are_nan(x: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) > vec4<u32>(EXPONENT);
}

// Clamps to +-bound; NaN stays NaN (torch.nn.utils.clip_grad_value_).
fn clamp_value(x: vec4<f32>, bound: f32) -> vec4<f32> {
    return select(clamp(x, vec4<f32>(-bound), vec4<f32>(bound)), x, are_nan(x));
}

// From a to b by rate, exact at both ends (torch.lerp).
fn lerp(a: vec4<f32>, b: vec4<f32>, rate: f32) -> vec4<f32> {
    return select(b - (1.0 - rate) * (b - a), a + rate * (b - a), rate < 0.5);
}

// Joins two parts of a norm of this kind (1: sum |g|, 2: sum g², 3: max |g|). max may drop a NaN; a norm may not.
fn join(kind: u32, a: f32, b: f32) -> f32 {
    if (kind != 3u) {
        return a + b;
    }
    if (is_nan(a)) {
        return a;
    }
    return select(max(a, b), b, is_nan(b));
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

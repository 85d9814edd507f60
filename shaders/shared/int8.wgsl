// Moments in a byte each. A block is 256 elements in 272 bytes: 16 vec4s of 16 codes each, the first in the lowest byte, and
// a vec4 with an exponent of each, a byte again.
//
//   low   = top - 14                                    top: the exponent that the 16 share, biased as in f32
//   code  = (e - low) 2^F + n                           e = max(exponent of |x|, low), n = floor(|x| 2^(F - e) + u)
//   x     = n 2^(e - F)
//
// F = 3 and a sign for m, F = 4 for v, which has none: floats of 4 bits of exponent (OCP Microscaling Formats 1.0 calls
// the first E4M3), the smallest of them subnormal, from 15/8 2^top down to 2^(top - 17), or 2^(top - 18). top is the
// smallest that holds the largest of the 16, so that unchanged values are stored again bit for bit.
//
// u = 1/2 rounds to the nearest; with u from [0, 1), drawn for each step and element, x is right on average, and a
// moment that should change by less than the next code does so now and then. A number of v above 0 is never stored as
// 0, which would divide by eps. Non-finite numbers do not count for top: m is NaN then, v infinite.
#import float
#import rng

alias Stored = vec4<u32>;

const CODED: u32 = 16u;        // elements that share an exponent
const BLOCK: u32 = 256u;
const BLOCK_VEC4S: u32 = 17u;
const BINADES: u32 = 14u;
const LEAST_TOP: u32 = 32u;    // no unit below it is subnormal in f32, which devices take for 0
const M_BITS: u32 = 3u;
const V_BITS: u32 = 4u;
const M_NAN: u32 = 128u;
const V_INFINITE: u32 = 255u;
const NEAREST: vec4<u32> = vec4<u32>(32768u);

// The bits of sixteen numbers, loaded or opaque (float.wgsl).
alias Sixteen = array<vec4<u32>, 4>;

fn finite_magnitudes(bits: vec4<u32>) -> vec4<u32> {
    return select(bits & vec4<u32>(MAGNITUDE), vec4<u32>(), are_nonfinite(bits));
}

// The exponent that sixteen numbers share. 15/8 of it is the largest number: what is above takes the next.
fn top_of(x: Sixteen) -> u32 {
    let near = max(finite_magnitudes(x[0]), finite_magnitudes(x[1]));
    let all = max(near, max(finite_magnitudes(x[2]), finite_magnitudes(x[3])));
    let largest = max(max(all.x, all.y), max(all.z, all.w));
    return clamp((largest + 0xfffffu) >> 23u, LEAST_TOP, 254u);
}

// Codes of |x|; u in parts of 65536.
fn magnitudes(bits: vec4<u32>, top: u32, fraction: u32, u: vec4<u32>) -> vec4<u32> {
    let low = vec4<u32>(top - BINADES);
    let magnitude = bits & vec4<u32>(MAGNITUDE);
    let exponent = max(magnitude >> vec4<u32>(23u), low);
    let units = bitcast<vec4<f32>>((vec4<u32>(254u + fraction) - exponent) << vec4<u32>(23u));
    let n = vec4<u32>(vec4<i32>(bitcast<vec4<f32>>(magnitude) * units + vec4<f32>(vec4<i32>(u)) * (1.0 / 65536.0)));
    return ((exponent - low) << vec4<u32>(fraction)) + n;
}

// The number of each code, without its sign.
fn numbers(codes: vec4<u32>, top: u32, fraction: u32) -> vec4<f32> {
    let high = codes >> vec4<u32>(fraction);
    let whole = vec4<u32>(1u << fraction);
    let n = (codes & (whole - vec4<u32>(1u))) | select(vec4<u32>(), whole, high > vec4<u32>());
    let exponent = vec4<u32>(max(top, LEAST_TOP) - BINADES - 1u - fraction) + max(high, vec4<u32>(1u));
    return vec4<f32>(vec4<i32>(n)) * bitcast<vec4<f32>>(exponent << vec4<u32>(23u));
}

fn bytes_of(word: u32) -> vec4<u32> {
    return (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu);
}

fn word_of(bytes: vec4<u32>) -> u32 {
    return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}

fn m_of(word: u32, top: u32) -> vec4<f32> {
    let codes = bytes_of(word);
    let x = bitcast<vec4<u32>>(numbers(codes & vec4<u32>(0x7fu), top, M_BITS)) | ((codes >> vec4<u32>(7u)) << vec4<u32>(31u));
    return bitcast<vec4<f32>>(select(x, vec4<u32>(QUIET_NAN), codes == vec4<u32>(M_NAN)));
}

fn m_word(bits: vec4<u32>, top: u32, u: vec4<u32>) -> u32 {
    let codes = min(magnitudes(bits, top, M_BITS, u), vec4<u32>(M_NAN - 1u));
    let signed = codes | select(vec4<u32>(), (bits >> vec4<u32>(31u)) << vec4<u32>(7u), codes != vec4<u32>());
    return word_of(select(signed, vec4<u32>(M_NAN), are_nonfinite(bits)));
}

fn v_of(word: u32, top: u32) -> vec4<f32> {
    let codes = bytes_of(word);
    let x = bitcast<vec4<u32>>(numbers(codes, top, V_BITS));
    return bitcast<vec4<f32>>(select(x, vec4<u32>(EXPONENT), codes == vec4<u32>(V_INFINITE)));
}

fn v_word(bits: vec4<u32>, top: u32, u: vec4<u32>) -> u32 {
    let is_normal = (bits & vec4<u32>(MAGNITUDE)) >= vec4<u32>(0x00800000u);
    let least = select(vec4<u32>(), vec4<u32>(1u), is_normal);
    let codes = clamp(magnitudes(bits, top, V_BITS, u), least, vec4<u32>(V_INFINITE - 1u));
    return word_of(select(codes, vec4<u32>(V_INFINITE), are_nonfinite(bits)));
}

// Activations between layers, and their derivatives, of the value z before the activation.
//
//   ACTIVATION = 0   none      h = z                     h' = 1
//   ACTIVATION = 1   relu      h = max(z, 0)             h' = [z > 0]
//   ACTIVATION = 2   gelu      h = z Phi(z)              h' = Phi(z) + z phi(z)      Hendrycks & Gimpel 2016, erf form
//   ACTIVATION = 3   gelu_new  h = z (1 + tanh u) / 2    h' = (1 + tanh u) / 2 + z u' (1 - tanh² u) / 2
//   ACTIVATION = 4   tanh      h = tanh z                h' = 1 - tanh² z
//   ACTIVATION = 5   relu6     h = min(max(z, 0), 6)     h' = [0 < z < 6]
//   ACTIVATION = 6   silu      h = z s(z)                h' = s(z) (1 + z (1 - s(z)))   s(z) = 1 / (1 + exp(-z))
//
// gelu_new is GPT-2's, with u = sqrt(2 / pi) (z + 0.044715 z³). A NaN stays one: relu, relu6 and tanh, which would lose it, go
// by the bits of z, loaded or opaque (float.wgsl).
//
// Phi(z) = (1 + erf(z / sqrt 2)) / 2. erf by Abramowitz & Stegun 7.1.26, |error| <= 1.5e-7.

#import float

override ACTIVATION: u32 = 0u;

fn erf(x: vec4<f32>) -> vec4<f32> {
    let a = abs(x);
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return sign(x) * (1.0 - series * exp(-a * a));
}

fn normal_below(z: vec4<f32>) -> vec4<f32> {
    return 0.5 * (1.0 + erf(z * 0.70710678));
}

// tanh by an exponential that may overflow to inf and is right there; |error| <= 2e-7. A built-in tanh may give NaN.
fn hyperbolic_tangent(x: vec4<f32>) -> vec4<f32> {
    return sign(x) * (1.0 - 2.0 / (exp(2.0 * abs(x)) + 1.0));
}

fn bent(z: vec4<f32>) -> vec4<f32> {
    return hyperbolic_tangent(0.79788456 * (z + 0.044715 * z * z * z));
}

// Whether z is 0 or below, down to -inf.
fn are_flat(bits: vec4<u32>) -> vec4<bool> {
    return (bits == vec4<u32>()) | (bits - vec4<u32>(0x80000000u) <= vec4<u32>(EXPONENT));
}

// Whether z is 6 or above, up to inf.
fn are_full(bits: vec4<u32>) -> vec4<bool> {
    return (bits >= vec4<u32>(0x40c00000u)) & (bits <= vec4<u32>(EXPONENT));
}

fn logistic(z: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp(-z));
}

fn tangent_or_nan(z: vec4<f32>, bits: vec4<u32>) -> vec4<f32> {
    let t = bitcast<vec4<u32>>(hyperbolic_tangent(z));
    return bitcast<vec4<f32>>(select(t, bits, are_nan(bits)));
}

fn activate(z: vec4<f32>, bits: vec4<u32>) -> vec4<f32> {
    if (ACTIVATION == 1u) {
        return bitcast<vec4<f32>>(select(bits, vec4<u32>(), are_flat(bits)));
    }
    if (ACTIVATION == 2u) {
        return z * normal_below(z);
    }
    if (ACTIVATION == 3u) {
        return 0.5 * z * (1.0 + bent(z));
    }
    if (ACTIVATION == 4u) {
        return tangent_or_nan(z, bits);
    }
    if (ACTIVATION == 5u) {
        let above = select(bits, vec4<u32>(), are_flat(bits));
        return bitcast<vec4<f32>>(select(above, vec4<u32>(0x40c00000u), are_full(bits)));
    }
    if (ACTIVATION == 6u) {
        return z * logistic(z);
    }
    return z;
}

fn activate_derivative(z: vec4<f32>, bits: vec4<u32>) -> vec4<f32> {
    if (ACTIVATION == 1u) {
        return select(vec4<f32>(1.0), vec4<f32>(), are_flat(bits));
    }
    if (ACTIVATION == 2u) {
        return normal_below(z) + z * 0.39894228 * exp(-0.5 * z * z);
    }
    if (ACTIVATION == 3u) {
        let t = bent(z);
        return 0.5 * (1.0 + t) + 0.39894228 * z * (1.0 + 0.134145 * z * z) * (1.0 - t * t);
    }
    if (ACTIVATION == 4u) {
        let t = tangent_or_nan(z, bits);
        return 1.0 - t * t;
    }
    if (ACTIVATION == 5u) {
        return select(vec4<f32>(1.0), vec4<f32>(), are_flat(bits) | are_full(bits));
    }
    if (ACTIVATION == 6u) {
        let s = logistic(z);
        return s * (1.0 + z * (1.0 - s));
    }
    return vec4<f32>(1.0);
}

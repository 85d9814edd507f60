// Activations between layers, and their derivatives, of the value z before the activation.
//
//   ACTIVATION = 0   none      h = z                     h' = 1
//   ACTIVATION = 1   relu      h = max(z, 0)             h' = [z > 0]
//   ACTIVATION = 2   gelu      h = z Phi(z)              h' = Phi(z) + z phi(z)      Hendrycks & Gimpel 2016, erf form
//
// A NaN passes through relu, which max would hide.
//
// Phi(z) = (1 + erf(z / sqrt 2)) / 2. erf by Abramowitz & Stegun 7.1.26, |error| <= 1.5e-7.

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

fn activate(z: vec4<f32>) -> vec4<f32> {
    if (ACTIVATION == 1u) {
        return select(z, vec4<f32>(), z <= vec4<f32>());
    }
    if (ACTIVATION == 2u) {
        return z * normal_below(z);
    }
    return z;
}

fn activate_derivative(z: vec4<f32>) -> vec4<f32> {
    if (ACTIVATION == 1u) {
        return select(vec4<f32>(1.0), vec4<f32>(), z <= vec4<f32>());
    }
    if (ACTIVATION == 2u) {
        return normal_below(z) + z * 0.39894228 * exp(-0.5 * z * z);
    }
    return vec4<f32>(1.0);
}

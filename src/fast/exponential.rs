//! eˣ without a branch, so that a compiler makes several at once.

/// Below it e^x is less than any normal number, and is made 0.
const LOWEST: f32 = -87.0;
/// Above it e^x is made infinite.
const HIGHEST: f32 = 88.0;
/// A number that holds a small whole number in its last bits once that is added to it.
const WHOLE: f32 = 12_582_912.0;
/// ln 2 in two parts. The first has few bits, so that its products are exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// e^x to 2 units in the last place: 2ⁿ eʳ with r in ±½ ln 2, and the polynomial of Cephes' `expf` for eʳ.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let shifted = x * std::f32::consts::LOG2_E + WHOLE;
    let n = shifted - WHOLE;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let series =
        ((((1.987_569_1e-4 * r + 1.398_2e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r + 1.666_666_5e-1) * r + 0.5;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    let e = (series * (r * r) + r + 1.0) * power;
    if x < LOWEST {
        0.0
    } else if x > HIGHEST {
        f32::INFINITY
    } else {
        e
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_near_the_true_one_everywhere() {
        for step in -87_000..=88_000 {
            let x = step as f32 / 1000.0;
            let (got, wanted) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((got / wanted - 1.0).abs() < 2.4e-7, "e^{x}: {got} for {wanted}");
        }
    }

    #[test]
    fn its_ends_are_the_true_ones() {
        assert_eq!([f32::NEG_INFINITY, -200.0, 0.0, f32::INFINITY].map(exp), [0.0, 0.0, 1.0, f32::INFINITY]);
        assert!(exp(f32::NAN).is_nan());
    }
}

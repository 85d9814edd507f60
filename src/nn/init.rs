//! Initial values.

use crate::engine::counted;
use crate::engine::layout::{pcg, uniform};

/// `count` values uniform in ±bound, from the stream named by `seed` and `tensor`.
pub(super) fn uniform_within(bound: f32, count: usize, seed: u32, tensor: u32) -> Vec<f32> {
    let key = pcg(seed ^ pcg(tensor));
    (0..counted(count)).map(|place| (2.0 * uniform(place, key) - 1.0) * bound).collect()
}

/// `count` values from a normal distribution around 0 (Box & Muller 1958), from the stream named by `seed` and `tensor`.
pub(super) fn normal(deviation: f32, count: usize, seed: u32, tensor: u32) -> Vec<f32> {
    let key = pcg(seed ^ pcg(tensor));
    let pair = |place: u32| {
        // In (0, 1], so that the logarithm is finite.
        let radius = (-2.0 * (1.0 - uniform(2 * place, key)).ln()).sqrt() * deviation;
        let angle = 2.0 * std::f32::consts::PI * uniform(2 * place + 1, key);
        [radius * angle.cos(), radius * angle.sin()]
    };
    (0..counted(count.div_ceil(2))).flat_map(pair).take(count).collect()
}

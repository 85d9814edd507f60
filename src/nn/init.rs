//! Initial values.

use crate::engine::layout::{pcg, uniform};

/// `count` values uniform in ±bound, from the stream named by `seed` and `tensor`.
pub(super) fn uniform_within(bound: f32, count: usize, seed: u32, tensor: u32) -> Vec<f32> {
    let key = pcg(seed ^ pcg(tensor));
    (0..count as u32).map(|place| (2.0 * uniform(place, key) - 1.0) * bound).collect()
}

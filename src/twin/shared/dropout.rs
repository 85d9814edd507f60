//! Twin of `shaders/shared/dropout.wgsl`.

use super::rng::pcg;

/// The key of a batch's drops.
pub fn dropout_key(seed: u32, step: u32, batch: u32) -> u32 {
    pcg(pcg(pcg(seed) ^ step) ^ batch)
}

/// Whether an element stays; it drops at this rate.
pub fn dropout_keeps(element: u32, key: u32, rate: f32) -> bool {
    pcg(element ^ key) >= (rate * 4_294_967_296.0) as u32
}

/// What an element is multiplied with: 0 where it drops, else what keeps the mean.
pub fn dropout_factor(element: u32, key: u32, rate: f32) -> f32 {
    if dropout_keeps(element, key, rate) { 1.0 / (1.0 - rate) } else { 0.0 }
}

//! Twin of `shaders/shared/rounding.wgsl`.

use super::pcg;

/// Distinguishes the words of parameters from those of moments, which use only the key.
pub const OF_PARAMS: u32 = 0x9e37_79b9;

/// The key of one chunk in one step: `count` steps have been applied to the tensor, this one among them.
pub fn rounding_key(seed: u32, tensor: u32, count: u32, number: u32) -> u32 {
    pcg(seed ^ pcg(tensor ^ pcg(count ^ pcg(number))))
}

/// The word of an element, `place` elements into the chunk.
pub fn rounding_word(key: u32, place: u32) -> u32 {
    pcg(pcg(place) ^ key)
}

//! Twin of `shaders/shared/rng.wgsl`.

/// PCG output permutation of a 32-bit counter (Jarzynski & Olano 2020, "Hash Functions for GPU Rendering").
pub fn pcg(counter: u32) -> u32 {
    let state = counter.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

/// Where `place` of `count` goes in the order named by `key`: a bijection of `0..count`.
pub fn shuffled(place: u32, count: u32, key: u32) -> u32 {
    let mut half_bits = 1;
    while half_bits < 16 && (1u32 << (2 * half_bits)) < count {
        half_bits += 1;
    }
    let mask = (1u32 << half_bits) - 1;
    let mut at = place;
    loop {
        let (mut left, mut right) = (at >> half_bits, at & mask);
        for round in 0..4u32 {
            let mixed = pcg(right ^ pcg(key.wrapping_add(round.wrapping_mul(0x9e37_79b9)))) & mask;
            (left, right) = (right, left ^ mixed);
        }
        at = (left << half_bits) | right;
        if at < count {
            return at;
        }
    }
}

/// A number in [0, 1) for a place in the stream named by `key`. (Host only: initial weights.)
pub fn uniform(place: u32, key: u32) -> f32 {
    (pcg(place ^ pcg(key)) >> 8) as f32 / 16_777_216.0
}

/// So many numbers in [-1, 1), from a seed: the same everywhere.
pub fn noise(seed: u32, count: usize) -> Vec<f32> {
    let key = pcg(seed);
    (0..count as u32).map(|place| 2.0 * uniform(place, key) - 1.0).collect()
}

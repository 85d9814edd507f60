// Counter-based random numbers: pure functions of a key and a place, the same on every engine and after a resume.

// PCG output permutation of a 32-bit counter (Jarzynski & Olano 2020, "Hash Functions for GPU Rendering").
fn pcg(counter: u32) -> u32 {
    let state = counter * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

// Where `place` of `count` goes in the order named by `key`: a bijection of 0 .. count - 1.
// Four Feistel rounds over the smallest even number of bits that covers count; places outside walk on until inside.
fn shuffled(place: u32, count: u32, key: u32) -> u32 {
    var half_bits = 1u;
    while (half_bits < 16u && (1u << (2u * half_bits)) < count) {
        half_bits += 1u;
    }
    let mask = (1u << half_bits) - 1u;
    var at = place;
    loop {
        var left = at >> half_bits;
        var right = at & mask;
        for (var round = 0u; round < 4u; round++) {
            let mixed = pcg(right ^ pcg(key + round * 0x9e3779b9u)) & mask;
            let next = left ^ mixed;
            left = right;
            right = next;
        }
        at = (left << half_bits) | right;
        if (at < count) {
            break;
        }
    }
    return at;
}

// The same for four counters.
fn pcg_each(counters: vec4<u32>) -> vec4<u32> {
    let state = counters * 747796405u + vec4<u32>(2891336453u);
    let word = ((state >> ((state >> vec4<u32>(28u)) + vec4<u32>(4u))) ^ state) * 277803737u;
    return (word >> vec4<u32>(22u)) ^ word;
}

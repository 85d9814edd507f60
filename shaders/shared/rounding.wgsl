// Stochastic rounding by counting: a word is a pure function of seed, tensor, steps applied to it and element, the same on
// every engine and after a resume. Nothing is stored.
#import rng

// Distinct from the words of the moments, which use only the key.
const OF_PARAMS: u32 = 0x9e3779b9u;

// The key of one chunk in one step: `count` steps have been applied to the tensor, this one among them.
fn rounding_key(seed: u32, tensor: u32, count: u32, number: u32) -> u32 {
    return pcg(seed ^ pcg(tensor ^ pcg(count ^ pcg(number))));
}

// The words of four elements, from `first` elements into the chunk. Elements are hashed before they meet the key, so that two
// keys do not give one pattern in two orders of neighbours.
fn rounding_words(key: u32, first: u32) -> vec4<u32> {
    return pcg_each(pcg_each(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u)) ^ vec4<u32>(key));
}

// Dropout by a counter-based generator: whether an element stays is a pure function of the seed, the batch and the
// element, so that forward and backward agree, both engines agree, and a resumed run goes on as it would have.
#import rng

// The key of a batch's drops. `seed` tells one use of dropout from another (a model mixes the layer's number into it);
// the batch's place tells the micro-batches of one step apart.
fn dropout_key(seed: u32, step: u32, batch: u32) -> u32 {
    return pcg(pcg(pcg(seed) ^ step) ^ batch);
}

// Whether an element stays; it drops at this rate.
fn dropout_keeps(element: u32, key: u32, rate: f32) -> bool {
    return pcg(element ^ key) >= u32(rate * 4294967296.0);
}

// What an element is multiplied with: 0 where it drops, else what keeps the mean.
fn dropout_factor(element: u32, key: u32, rate: f32) -> f32 {
    return select(0.0, 1.0 / (1.0 - rate), dropout_keeps(element, key, rate));
}

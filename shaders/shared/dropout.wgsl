// Dropout by counting: whether an element is dropped is a pure function of seed, stream, place of the batch and element,
// the same on every engine, in the backward pass and after a resume. Nothing is stored.
#import metrics
#import rng

struct Dropout {               // 32 bytes
    seed: u32,
    stream: u32,               // which dropout of the model
    threshold: u32,            // probability · 2³²: a word below it drops
    scale: f32,                // 1 / (1 - probability)
    quads: u32,                // vec4s in all; for an operation of its own
    together: u32,             // vec4s that are dropped together: those of an example; 0: each element for itself
    pad1: u32,
    pad2: u32,
}

// The key of one dropout in one batch; the batch tells the micro-batches of a step apart.
fn dropout_key(dropout: Dropout, position: Position) -> u32 {
    return pcg(dropout.seed ^ pcg(dropout.stream ^ pcg(position.step ^ pcg(position.batch))));
}

// What an element is multiplied by: scale or 0. The element is hashed before it meets the key, so that two keys do not
// give one pattern in two orders of neighbours.
fn dropout_factor(dropout: Dropout, key: u32, element: u32) -> f32 {
    return select(dropout.scale, 0.0, pcg(pcg(element) ^ key) < dropout.threshold);
}

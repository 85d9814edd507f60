// Sizes of a pooling over the tokens of a sequence.

struct Pool {                  // 16 bytes
    batch: u32,
    context: u32,              // rows of a sequence
    quads: u32,                // vec4s in a row
    pad0: u32,
}

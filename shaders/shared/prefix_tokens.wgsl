// Sizes of a vision transformer's embeddings.

struct PrefixTokens {          // 32 bytes
    batch: u32,
    tokens: u32,               // in front of the patches: 1 or 2
    patches: u32,              // of a picture
    width: u32,
    quads: u32,                // vec4s in a row
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

// Sizes of multi-head attention. Tokens and numbers of a head are counted singly, offsets in qkv in vec4s.

struct Attention {             // 64 bytes
    batch: u32,
    context: u32,              // tokens of an example
    heads: u32,
    head_quads: u32,           // vec4s in a row of one head
    query: u32,                // first vec4 of each part of qkv
    key: u32,
    value: u32,
    stride: u32,               // vec4s from one token's row of a part to the next token's
    scale: f32,                // 1 / sqrt(numbers in a row of one head)
    rate: f32,                 // of dropout
    seed: u32,                 // of dropout
    stream: u32,               // which dropout of the model
    zero: u32,                 // 0, see float.wgsl
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

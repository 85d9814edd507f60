// Sizes of a layer norm, and what forward keeps of a row for backward.

struct LayerNorm {             // 16 bytes
    rows: u32,
    width: u32,
    quads: u32,                // vec4s in a row
    eps: f32,
}

struct Moments {               // 8 bytes, one a row
    mean: f32,
    rstd: f32,                 // 1 / sqrt(variance + eps)
}

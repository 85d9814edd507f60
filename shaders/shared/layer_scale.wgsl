// Sizes of a LayerScale.

struct LayerScale {            // 16 bytes
    rows: u32,
    width: u32,
    quads: u32,                // vec4s in a row
    pad0: u32,
}

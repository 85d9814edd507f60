// Sizes of two values side by side.

struct Join {                  // 16 bytes
    rows: u32,
    left: u32,                 // vec4s in a row of a
    right: u32,                // vec4s in a row of b
    pad0: u32,
}

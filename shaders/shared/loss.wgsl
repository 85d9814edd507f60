// Sizes of a loss, and its verdict on a row.

struct Loss {                  // 32 bytes
    rows: u32,
    classes: u32,
    quads: u32,                // vec4s in a row of z
    ignore: u32,               // a row with this label does not count
    smoothing: f32,            // of the target: this part of it is spread evenly over the classes
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

struct Verdict {               // 8 bytes, one a row
    loss: f32,
    mark: u32,                 // COUNTS | CORRECT
}

const COUNTS: u32 = 1u;
const CORRECT: u32 = 2u;       // the first of the largest logits is the label's

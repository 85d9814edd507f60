// The state of evaluations on the device, and what is copied if one of them is the best.

struct Standing {              // 16 bytes
    score: f32,                // the best so far
    known: u32,                // 1: there is one
    best: u32,                 // 1: the latest evaluation is it
    pad0: u32,
}

struct Span {                  // 16 bytes, of one page to another; in vec4s
    source: u32,
    copy: u32,
    quads: u32,
    pad0: u32,
}

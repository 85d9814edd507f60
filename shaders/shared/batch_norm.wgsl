// Sizes of a batch norm, and what forward keeps of a channel for backward.

struct BatchNorm {             // 32 bytes
    rows: u32,                 // of the batch: pictures · pixels
    width: u32,                // channels
    quads: u32,                // vec4s in a row
    eps: f32,
    momentum: f32,             // weight of a batch in the running statistics; below 0: all batches weigh the same
    ghost_rows: u32,           // of a ghost batch, which has moments of its own; all of them if there is one
    pad1: u32,
    pad2: u32,
}

struct ChannelMoments {        // 8 bytes, one a channel of each ghost batch
    mean: f32,
    rstd: f32,                 // 1 / sqrt(variance + eps)
}

struct ChannelSlopes {         // 8 bytes, one a channel of each ghost batch
    plain: f32,                // mean over the rows of dy
    along: f32,                // mean over the rows of dy (x - mean) rstd
}

// Ghost batches of the batch; the last one may be smaller.
fn ghosts() -> u32 {
    return (shape.rows + shape.ghost_rows - 1u) / shape.ghost_rows;
}

// Channels 4q .. 4q + 3; the last one again after it.
fn channels(q: u32) -> vec4<u32> {
    return min(4u * q + QUAD, vec4<u32>(shape.width - 1u));
}

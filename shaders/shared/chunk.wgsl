// The work list: what a step touches, cut into chunks of one tensor each. Frozen tensors are not in it.

struct Chunk {                 // 32 bytes; offsets in elements from the start of the bound page
    param: u32,
    grad: u32,                 // from where the tensor's gradient begins, see TensorEntry
    state: u32,
    length: u32,               // elements
    tensor: u32,               // place of the tensor's record in the control block
    group: u32,
    number: u32,               // which of its tensor's chunks
    entry: u32,                // place of its tensor in the list
}

// A tensor that takes part in the step.
struct TensorEntry {           // 12 bytes
    record: u32,               // place of its record in the control block
    group: u32,
    grad: u32,                 // where its gradient begins, in elements of the bound page: all that a gradient that moves changes
}

// A tensor whose sums are added up.
struct Fold {                  // 12 bytes
    record: u32,               // place of its record in the control block
    first: u32,                // first of its chunks in the list of their places
    count: u32,                // its chunks
}

// The part of the work list that one dispatch handles: chunks that share their bound pages.
struct Segment {               // 32 bytes
    first: u32,                // first chunk
    count: u32,                // chunks
    first_partial: u32,        // norm and norm_fold: partial of workgroup 0
    partials: u32,             // norm and norm_fold: partials of the whole list
    pad0: u32,
    place: u32,                // norm_fold: where the list's partials begin in the control block
    seed: u32,                 // update: of the stochastic rounding
    zero: u32,                 // update: 0, see float.wgsl
}

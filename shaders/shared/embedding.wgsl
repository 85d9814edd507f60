// Sizes of a table that rows of a batch name entries of.

struct Embedding {             // 32 bytes
    rows: u32,                 // of the batch: batch · context
    width: u32,
    quads: u32,                // vec4s in a row of y
    context: u32,              // rows of a sequence
    entries: u32,              // of the table; for the forward pass, of the token table
    types: u32,                // entries of the type table
    first_position: u32,       // entry of the position table that the first row of a sequence names
    pad0: u32,
}

// A tensor whose rule looks at its rows: the first dimension is the rows, all others are the columns.

struct Matrix {                // 24 bytes
    record: u32,               // place of its record in the control block
    rows: u32,
    columns: u32,              // 0: it is a vector, or its rule looks at no rows
    chunk: u32,                // elements of its chunks, but for the last
    first: u32,                // place of its first row's share
    sums: u32,                 // place of its first sums; those of chunk c and row r are c + r further
}

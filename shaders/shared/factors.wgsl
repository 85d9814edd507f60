// A tensor whose second moment is kept by rows and columns: of the matrices over its last two dimensions, one after the
// other. Its state is the rows of all of them, and then their columns.

struct Factors {               // 44 bytes
    record: u32,               // place of its record in the control block
    elements: u32,
    rows: u32,                 // of a matrix
    columns: u32,              // 0: it is a vector, each of whose elements has a state of its own
    chunk: u32,                // elements of its chunks, but for the last
    band: u32,                 // elements of its bands, but for the last
    row_state: u32,            // where its rows lie in the state; of a vector all of it
    column_state: u32,
    row_sums: u32,             // place of its first sum of a row; that of chunk c and row r is c + r further
    column_sums: u32,          // of a column; those of band b and matrix m begin (b + m) columns further
    means: u32,                // place of its first matrix's mean
}

// Some columns of the part of a band that lies in one page. A band is whole chunks of a tensor, one after the other.
struct Band {                  // 24 bytes
    chunk: u32,                // place of the part's first chunk in the work list
    length: u32,               // elements of the part
    number: u32,               // which of its tensor's bands
    begin: u32,                // the tensor's element at which the band begins: what comes before the part is added up already
    column: u32,               // the first column
    columns: u32,              // how many
}

// Matrices of a tensor that a workgroup folds.
struct Folded {                // 12 bytes
    entry: u32,                // place of its tensor in the list
    first: u32,                // the first matrix
    count: u32,
}

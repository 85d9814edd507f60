// What moves between one piece of a tensor before it is resized and one piece of it after.

struct Resize {                // 48 bytes; all but rows in elements
    rows: u32,                 // old rows
    width: u32,                // of a row
    old_first: u32,            // of the tensor: what the old piece begins with
    old_elements: u32,
    old_at: u32,               // where it lies in the bound page
    new_first: u32,
    new_elements: u32,
    new_at: u32,
    is_state: u32,             // 1: what is fresh is 0
    is_first: u32,             // 1: the first of the dispatches over this new piece: it writes zeros
    is_counting: u32,          // 1: indices past the old rows are counted
    pad0: u32,
}

// An entry of the list: an old row, which may be marked as fresh; or a row of zeros.
const FRESH: u32 = 0x80000000u;
const ZERO: u32 = 0xffffffffu;

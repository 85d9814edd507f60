// Rows of a tensor that grows or shrinks: each is an old row, by a list, or begins anew.
//
//   new[i] = old[rows[i]]             a row may stand in the list several times, or not at all
//   new[i] = 0                        for ZERO; of state also for an old row that is marked as FRESH
//
// An index past the old rows is taken for ZERO and counted. A dispatch takes elements from one piece of the old tensor to one
// piece of the new one, and leaves those that come from elsewhere. To the bit.
//
//   0 rows     [new rows]             u32
//   1 control                         stats.lost_rows is counted up
//   2 old      [page]                 words: an element each, two with HALVES
//   3 fresh    [page]                 as old
//   4 resize                          which pieces
#import resize

override WORKGROUP: u32 = 256u;

const LOST_ROWS: u32 = 13u;    // the place of stats.lost_rows, in words
const SPAN: u32 = 4096u;       // words of a workgroup
const NOTHING: u32 = 0xffffffffu;

@group(0) @binding(0) var<storage, read> rows: array<u32>;
@group(0) @binding(1) var<storage, read_write> control: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read_write> old: array<u32>;
@group(0) @binding(3) var<storage, read_write> fresh: array<u32>;
@group(0) @binding(4) var<uniform> resize: Resize;

// The old element that a new one is; NOTHING where it begins anew.
fn source_of(element: u32) -> u32 {
    let index = rows[element / resize.width];
    let row = index & ~FRESH;
    let column = element % resize.width;
    if (index == ZERO || (resize.is_state != 0u && (index & FRESH) != 0u)) {
        return NOTHING;
    }
    if (row >= resize.rows) {
        if (resize.is_counting != 0u && column == 0u) {
            atomicAdd(&control[LOST_ROWS], 1u);
        }
        return NOTHING;
    }
    return row * resize.width + column;
}

// Whether this dispatch has the number for an element that comes from there.
fn is_here(source: u32) -> bool {
    if (source == NOTHING) {
        return resize.is_first != 0u;
    }
    return source - resize.old_first < resize.old_elements;
}

// The place in the old page of an element that comes from there.
fn place_of(source: u32) -> u32 {
    return resize.old_at + source - resize.old_first;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (workgroup.y * grid.x + workgroup.x) * SPAN;
#ifdef HALVES
    let words = (resize.new_elements + 1u) / 2u;
#else
    let words = resize.new_elements;
#endif
    for (var i = first + lane; i < min(first + SPAN, words); i += WORKGROUP) {
#ifdef HALVES
        let at = resize.new_at / 2u + i;
        var word = fresh[at];
        for (var half = 0u; half < min(2u, resize.new_elements - 2u * i); half++) {
            let source = source_of(resize.new_first + 2u * i + half);
            if (!is_here(source)) {
                continue;
            }
            var bits = 0u;
            if (source != NOTHING) {
                let place = place_of(source);
                bits = (old[place / 2u] >> (16u * (place % 2u))) & 0xffffu;
            }
            word = (word & ~(0xffffu << (16u * half))) | (bits << (16u * half));
        }
        fresh[at] = word;
#else
        let source = source_of(resize.new_first + i);
        if (is_here(source)) {
            var word = 0u;
            if (source != NOTHING) {
                word = old[place_of(source)];
            }
            fresh[resize.new_at + i] = word;
        }
#endif
    }
}

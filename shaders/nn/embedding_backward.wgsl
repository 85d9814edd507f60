// Embeddings, backward to a table: of tokens, positions or types, each with its own index.
//
//   dtable[e] = sum of dy[r] over the rows r that name e, the last one first
//
// When overwriting, an invocation makes QUADS vec4s of entries, zero for an entry that the batch does not name. With
// ACCUMULATE = 1 it takes as many of a row of the batch, and only the last row of a chain works: other entries of the
// table are not touched. Neighbouring invocations make neighbouring vec4s.
//
// A table of few entries needs no index (CHAINED = 0): its chains would be long, and a chain is followed row by row. LANES
// lanes share a vec4 of an entry, each takes rows in turn, then a fixed tree sums.
//
//   0 tokens   [rows]
//   1 previous [rows]                 of embedding_index; not read without it
//   2 last     [entries]              of embedding_index; not read without it
//   3 dy       [rows, quads]          vec4, zero after the last column
//   4 dtable   [entries, width]       vec4; single floats with RAGGED
//   5 shape
//   6 squares  [invocations]          with SQUARES, overwriting: of what an invocation writes; without an index of each vec4
#import embedding
#import squares
#import values

override WORKGROUP: u32 = 64u;
override ACCUMULATE: u32 = 0u;
override QUADS: u32 = 1u;      // at most 128, for the squares
override CHAINED: u32 = 1u;
override LANES: u32 = 1u;      // a power of two that divides WORKGROUP

@group(0) @binding(0) var<storage, read> tokens: array<u32>;
@group(0) @binding(1) var<storage, read> previous: array<u32>;
@group(0) @binding(2) var<storage, read> last: array<u32>;
@group(0) @binding(3) var<storage, read> dy: array<Stored>;
#ifdef RAGGED
@group(0) @binding(4) var<storage, read_write> dtable: array<f32>;
#else
@group(0) @binding(4) var<storage, read_write> dtable: array<vec4<f32>>;
#endif
@group(0) @binding(5) var<uniform> shape: Embedding;
#ifdef SQUARES
@group(0) @binding(6) var<storage, read_write> squares: array<Squares>;
#endif

var<workgroup> shares: array<vec4<f32>, WORKGROUP>;

fn store(entry: u32, q: u32, value: vec4<f32>) {
#ifdef RAGGED
    for (var k = 0u; k < min(4u, shape.width - 4u * q); k++) {
        let at = entry * shape.width + 4u * q + k;
        if (ACCUMULATE != 0u) {
            dtable[at] += value[k];
        } else {
            dtable[at] = value[k];
        }
    }
#else
    let at = entry * shape.quads + q;
    if (ACCUMULATE != 0u) {
        dtable[at] += value;
    } else {
        dtable[at] = value;
    }
#endif
}

// The sum over the chain of rows that ends at r.
fn chain(r: u32, q: u32) -> vec4<f32> {
    var sum = vec4<f32>();
    var at = r;
    while (at < shape.rows) {
        sum += wide(dy[at * shape.quads + q]);
        at = previous[at];
    }
    return sum;
}

// What the rows of the batch add to the table.
fn add(r: u32, q: u32) {
    let entry = min(tokens[r], shape.entries - 1u);
    if (last[entry] == r) {
        store(entry, q, chain(r, q));
    }
}

// An entry's gradient, and its squares.
fn overwrite(entry: u32, q: u32) -> vec2<f32> {
    let r = last[entry];
    let named = r < shape.rows && tokens[min(r, shape.rows - 1u)] == entry;
    let sum = chain(select(shape.rows, r, named), q);
    store(entry, q, sum);
    return squares_of(sum);
}

// The sum over all rows that name an entry, by the lanes that share it; the first of them has it.
fn sum_of_named(entry: u32, q: u32, lane: u32) -> vec4<f32> {
    let columns = WORKGROUP / LANES;
    var sum = vec4<f32>();
    for (var r = lane / columns; r < shape.rows; r += LANES) {
        if (tokens[r] == entry) {
            sum += wide(dy[r * shape.quads + q]);
        }
    }
    if (LANES == 1u) {
        return sum;
    }
    shares[lane] = sum;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if (lane / columns < width) {
            shares[lane] += shares[lane + width * columns];
        }
        workgroupBarrier();
    }
    return shares[lane];
}

// All invocations of a workgroup make its vec4s together.
fn without_index(group: u32, lane: u32) {
    let columns = WORKGROUP / LANES;
    let at = group * columns + lane % columns;
    let place = min(at, shape.quads * shape.entries - 1u);
    let sum = sum_of_named(place / shape.quads, place % shape.quads, lane);
    if (lane >= columns) {
        return;
    }
    var stored = vec2<f32>();
    if (place == at) {
        store(at / shape.quads, at % shape.quads, sum);
        stored = squares_of(sum);
    }
#ifdef SQUARES
    squares[at] = partial_of(stored);
#endif
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let invocation = id.y * grid.x * WORKGROUP + id.x;
    if (CHAINED == 0u) {
        without_index(invocation / WORKGROUP, lane);
        return;
    }
    // A workgroup's vec4s are contiguous.
    let first = invocation / WORKGROUP * WORKGROUP * QUADS + invocation % WORKGROUP;
    let places = shape.quads * select(shape.entries, shape.rows, ACCUMULATE != 0u);
    var stored = vec2<f32>();
    for (var k = 0u; k < QUADS; k++) {
        let at = first + k * WORKGROUP;
        if (at >= places) {
            break;
        }
        if (ACCUMULATE != 0u) {
            add(at / shape.quads, at % shape.quads);
        } else {
            stored += overwrite(at / shape.quads, at % shape.quads);
        }
    }
#ifdef SQUARES
    squares[invocation] = partial_of(stored);
#endif
}

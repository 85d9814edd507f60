// Attention by registers: an invocation takes a run of 8 tokens of one head, and 8 of the others' tokens a turn.
//
// Its sums stay on chip: they are its own part of workgroup memory, which nobody else reads, so there is no barrier. As
// many vec4s of a head as have room there (PART) are made at once; for a longer head scores are made anew for each part.
// No bit depends on the parts.
//
// The importing shader declares what attention_rows needs.
#import attention_rows

// (Given by the host, all three: naga 30 works out no override from another.)
override WORKGROUP: u32 = 8u;
override PART: u32 = 8u;       // vec4s of a head
override HELD: u32 = 512u;     // 8 PART WORKGROUP; twice that to keys and values

// [PART][8 tokens][WORKGROUP]
var<workgroup> held: array<vec4<f32>, HELD>;

// Keys 0 .. 3 and 4 .. 7 of a tile, for 4 queries.
struct Half {
    near: mat4x4<f32>,
    far: mat4x4<f32>,
}

// Queries 0 .. 3 and 4 .. 7 of a tile.
struct Tile {
    low: Half,
    high: Half,
}

fn place_of(index: u32) -> Place {
    let runs = (shape.context + 7u) / 8u;
    let head = index / runs;
    return Place(head, head / shape.heads, head % shape.heads, index % runs * 8u);
}

// Adds to a tile the products of four numbers of 8 queries with those of 8 keys, each a column a token.
fn add_products(tile: ptr<function, Tile>, q0: mat4x4<f32>, q1: mat4x4<f32>, k0: mat4x4<f32>, k1: mat4x4<f32>) {
    let near = transpose(k0);
    let far = transpose(k1);
    (*tile).low.near += near * q0;
    (*tile).low.far += far * q0;
    (*tile).high.near += near * q1;
    (*tile).high.far += far * q1;
}

// Queries from token t on against keys from token j on, before the scale.
fn scores(place: Place, t: u32, j: u32) -> Tile {
    let q0 = part_of(shape.query, place, t);
    let q1 = part_of(shape.query, place, t + 4u);
    let k0 = part_of(shape.key, place, j);
    let k1 = part_of(shape.key, place, j + 4u);
    var tile = Tile();
    for (var d = 0u; d < shape.head_quads; d++) {
        add_products(&tile, qkv_at(q0, d), qkv_at(q1, d), qkv_at(k0, d), qkv_at(k1, d));
    }
    return tile;
}

// Which keys of a tile are there and real.
struct Real {
    near: vec4<bool>,
    far: vec4<bool>,
}

fn real_of(place: Place, j: u32) -> Real {
    return Real(real_keys(place, j), real_keys(place, j + 4u));
}

fn are_hidden(real: Real) -> bool {
    return !any(real.near | real.far);
}

// Where vec4 d of the first token's sum is; the next token's is WORKGROUP further on.
fn held_at(d: u32, lane: u32) -> u32 {
    return d * 8u * WORKGROUP + lane;
}

// Clears the sums of so many vec4s.
fn clear_held(quads: u32, lane: u32) {
    for (var i = 0u; i < 8u * quads; i++) {
        held[i * WORKGROUP + lane] = vec4<f32>();
    }
}

// The sums of 4 tokens from place `at` on, a column each.
fn held_four(at: u32) -> mat4x4<f32> {
    return mat4x4<f32>(held[at], held[at + WORKGROUP], held[at + 2u * WORKGROUP], held[at + 3u * WORKGROUP]);
}

// Fades the sums of 4 tokens and adds a column to each.
fn hold(at: u32, fade: vec4<f32>, brought: mat4x4<f32>) {
    held[at] = fade.x * held[at] + brought[0];
    held[at + WORKGROUP] = fade.y * held[at + WORKGROUP] + brought[1];
    held[at + 2u * WORKGROUP] = fade.z * held[at + 2u * WORKGROUP] + brought[2];
    held[at + 3u * WORKGROUP] = fade.w * held[at + 3u * WORKGROUP] + brought[3];
}

// Adds a column to each.
fn hold_more(at: u32, brought: mat4x4<f32>) {
    held[at] += brought[0];
    held[at + WORKGROUP] += brought[1];
    held[at + 2u * WORKGROUP] += brought[2];
    held[at + 3u * WORKGROUP] += brought[3];
}

// Products of matrices in square tiles of results, each made by a workgroup that shares what it reads.
//
//   result[d, a] = sum_k down[d, k] across[k, a]
//
// SIDE by SIDE invocations make QUADS by QUADS matrices of 4 by 4 results each, so a tile has an edge of 4 SIDE QUADS.
// They take 16 k a turn: each fetches at most a matrix of either operand, all put theirs into workgroup memory, and
// while they multiply those, the next turn's are being loaded. With QUADS = 2 that is 16 loads of a vec4 for 256
// products.
//
// The importing shader declares which operand neighbours read side by side, and how to read 4 by 4 numbers:
//
//   const DOWN_ALONG_K: bool, ACROSS_ALONG_K: bool
//   fn down_at(q: u32, k: u32) -> mat4x4<f32>       4 down, a column each, of 4 k
//   fn across_at(k: u32, q: u32) -> mat4x4<f32>     4 k, a column each, of 4 across
//
// Both give zeros past the end of k. A sum takes k in order, so its bits depend neither on its place in the tile nor on
// the rest of the tile.

// (Given by the host, all four: naga 30 works out no override from another.)
override WORKGROUP: u32 = 64u; // SIDE squared
override SIDE: u32 = 8u;
override QUADS: u32 = 2u;      // 1 or 2
override SHARED: u32 = 264u;   // vec4s of an operand's turn: 16 SIDE QUADS + 8

// Quads of k in a turn.
const TURN: u32 = 4u;

// [4][quads · TURN], in the order of the invocations that fetch; and [TURN][4, quads], which neighbours read side by
// side.
var<workgroup> downs: array<vec4<f32>, SHARED>;
var<workgroup> acrosses: array<vec4<f32>, SHARED>;

// Quads along an edge.
fn edge() -> u32 {
    return SIDE * QUADS;
}

// From a quad of k to the next in acrosses: 2 more than there are, so that the stores of neighbours meet in no bank.
fn step_across() -> u32 {
    return 4u * edge() + 2u;
}

// The results of an invocation: two quads down by two across, a column each of down.
struct Sums {
    near_near: mat4x4<f32>,
    near_far: mat4x4<f32>,     // far across
    far_near: mat4x4<f32>,     // far down
    far_far: mat4x4<f32>,
    down_near: vec4<f32>,      // sums over k of down alone
    down_far: vec4<f32>,
}

// The first quads of a workgroup's tile, and of an invocation in it; its far ones are SIDE further on.
struct Tile {
    down: u32,
    across: u32,
    own_down: u32,
    own_across: u32,
}

fn tile_of(index: u32, lane: u32, across_quads: u32) -> Tile {
    let tiles = (across_quads + edge() - 1u) / edge();
    let down = index / tiles * edge();
    let across = index % tiles * edge();
    return Tile(down, across, down + lane / SIDE, across + lane % SIDE);
}

// The quad and the k of the matrix that an invocation fetches.
fn fetched(lane: u32, along_k: bool) -> vec2<u32> {
    return select(vec2<u32>(lane % edge(), lane / edge()), vec2<u32>(lane / TURN, lane % TURN), along_k);
}

fn place_down(q: u32, k: u32) -> u32 {
    return select(k * edge() + q, q * TURN + k, DOWN_ALONG_K);
}

fn down_shared(q: u32, k: u32) -> mat4x4<f32> {
    let at = place_down(q, k);
    let plane = TURN * edge();
    return mat4x4<f32>(downs[at], downs[plane + at], downs[2u * plane + at], downs[3u * plane + at]);
}

fn across_shared(k: u32, q: u32) -> mat4x4<f32> {
    let at = k * step_across() + q;
    return mat4x4<f32>(acrosses[at], acrosses[at + edge()], acrosses[at + 2u * edge()], acrosses[at + 3u * edge()]);
}

fn share(lane: u32, down: mat4x4<f32>, across: mat4x4<f32>) {
    let plane = TURN * edge();
    let place = fetched(lane, ACROSS_ALONG_K);
    let at = place.y * step_across() + place.x;
    downs[lane] = down[0];
    downs[plane + lane] = down[1];
    downs[2u * plane + lane] = down[2];
    downs[3u * plane + lane] = down[3];
    acrosses[at] = across[0];
    acrosses[at + edge()] = across[1];
    acrosses[at + 2u * edge()] = across[2];
    acrosses[at + 3u * edge()] = across[3];
}

// All invocations of a workgroup must call this together. `totals`: whether the sums of down alone are wanted.
fn products(lane: u32, tile: Tile, k_quads: u32, totals: bool) -> Sums {
    let for_down = fetched(lane, DOWN_ALONG_K);
    let for_across = fetched(lane, ACROSS_ALONG_K);
    let fetches = lane < TURN * edge();
    let near_down = lane / SIDE;
    let near_across = lane % SIDE;
    let ones = vec4<f32>(1.0);
    var sums = Sums();
    var down = mat4x4<f32>();
    var across = mat4x4<f32>();
    if (fetches) {
        down = down_at(tile.down + for_down.x, for_down.y);
        across = across_at(for_across.y, tile.across + for_across.x);
    }
    for (var first = 0u; first < k_quads; first += TURN) {
        if (fetches) {
            share(lane, down, across);
        }
        workgroupBarrier();
        if (fetches) {
            let next = first + TURN;
            down = down_at(tile.down + for_down.x, next + for_down.y);
            across = across_at(next + for_across.y, tile.across + for_across.x);
        }
        for (var k = 0u; k < TURN; k++) {
            let d0 = down_shared(near_down, k);
            let a0 = across_shared(k, near_across);
            sums.near_near += a0 * d0;
            if (totals) {
                sums.down_near += ones * d0;
            }
            if (QUADS == 2u) {
                let d1 = down_shared(near_down + SIDE, k);
                let a1 = across_shared(k, near_across + SIDE);
                sums.near_far += a1 * d0;
                sums.far_near += a0 * d1;
                sums.far_far += a1 * d1;
                if (totals) {
                    sums.down_far += ones * d1;
                }
            }
        }
        workgroupBarrier();
    }
    return sums;
}

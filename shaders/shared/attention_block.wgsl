// The block of attention scores that a workgroup makes: 32 queries by 32 keys by 8 by 8 invocations, 4 by 4 each.
//
// What is multiplied lies in workgroup memory, in tiles of 32 tokens by 8 vec4s: the workgroup's own tokens (DOWN), those
// of the turn (ACROSS), and what the turn's tokens weigh for the own ones (WEIGHTS: 32 own tokens by 8 vec4s of turns').
// An invocation keeps the sums of 4 own tokens, every eighth vec4 of a head, in registers: at most four such matrices. So
// a workgroup makes SLICES · 32 numbers of a head at once; for a longer head scores are made anew for each part. No bit
// depends on the parts.
//
// The importing shader declares what attention_rows needs.
#import attention_rows

override WORKGROUP: u32 = 64u; // SIDE squared
override SLICES: u32 = 1u;     // slices of 8 vec4s of a head that are made at once

// Invocations along a side of the block; and tokens.
const SIDE: u32 = 8u;
const BLOCK: u32 = 32u;

// From a vec4 of the tokens to the next in a tile: one more than there are tokens, so that neighbours meet in no bank.
const STEP: u32 = 33u;
const TILE: u32 = 264u;        // SIDE STEP
const DOWN: u32 = 0u;
const ACROSS: u32 = 264u;
const WEIGHTS: u32 = 528u;

// Three times [8 vec4s][4][8 tokens]: token 4 a + i is at [i][a], so that neighbours read side by side.
var<workgroup> tiles: array<vec4<f32>, 792>;
// [own tokens][others] by fours: what invocations tell each other of 4 of the own tokens.
var<workgroup> maxima: array<vec4<f32>, 64>;
var<workgroup> totals: array<vec4<f32>, 64>;
var<workgroup> spans: array<vec2<u32>, 64>;
var<workgroup> span: vec2<u32>;

// The sums of 4 tokens, a column each: a vec4 of each slice.
struct Sums {
    first: mat4x4<f32>,
    second: mat4x4<f32>,
    third: mat4x4<f32>,
    fourth: mat4x4<f32>,
}

// The first of a workgroup's tokens.
fn block_of(group: vec3<u32>, grid: vec3<u32>) -> Place {
    let index = group.y * grid.x + group.x;
    let blocks = (shape.context + BLOCK - 1u) / BLOCK;
    let head = index / blocks;
    return Place(head, head / shape.heads, head % shape.heads, index % blocks * BLOCK);
}

// The first real key from `first` to `end`, and the end of the last one; 0 is the end if there is none.
fn span_of(place: Place, first: u32, end: u32, lane: u32) -> vec2<u32> {
    var own = vec2<u32>(end, 0u);
    for (var j = first + lane; j < end; j += WORKGROUP) {
        if (mask[place.example * shape.context + j] != 0u) {
            own = vec2<u32>(min(own.x, j), j + 1u);
        }
    }
    spans[lane] = own;
    workgroupBarrier();
    if (lane == 0u) {
        for (var i = 1u; i < WORKGROUP; i++) {
            own = vec2<u32>(min(own.x, spans[i].x), max(own.y, spans[i].y));
        }
        span = own;
    }
    return workgroupUniformLoad(&span);
}

// The blocks of keys that the workgroup's queries see some of: the first key, and the end.
fn keys_of(place: Place, lane: u32) -> vec2<u32> {
    let real = span_of(place, 0u, shape.context, lane);
    let end = select(real.y, min(place.first + BLOCK, real.y), CAUSAL != 0u);
    return vec2<u32>(real.x / BLOCK * BLOCK, end);
}

// A token's row, counted over the whole batch; past the last token, the last one's.
fn row_of(place: Place, token: u32) -> u32 {
    return place.example * shape.context + min(token, shape.context - 1u);
}

// The token that an invocation stages at a turn of four, and where its vec4 goes.
fn staged_row(turn: u32, lane: u32) -> u32 {
    return turn * SIDE + lane / SIDE;
}

fn staged_at(tile: u32, row: u32, lane: u32) -> u32 {
    return tile + lane % SIDE * STEP + row % 4u * SIDE + row / 4u;
}

// Puts vec4s d .. d + 7 of 32 tokens of a part of qkv into a tile, zeros past the last vec4.
fn stage(tile: u32, part: u32, place: Place, token: u32, d: u32, lane: u32) {
    let quad = d + lane % SIDE;
    for (var turn = 0u; turn < 4u; turn++) {
        let row = staged_row(turn, lane);
        var x = vec4<f32>();
        if (quad < shape.head_quads) {
            x = wide(qkv[part + place.head * shape.head_quads + row_of(place, token + row) * shape.stride + quad]);
        }
        tiles[staged_at(tile, row, lane)] = x;
    }
}

// A vec4 of four tokens of a tile, a column a token.
fn four_of(tile: u32, quad: u32, tokens: u32) -> mat4x4<f32> {
    let at = tile + quad * STEP + tokens;
    return mat4x4<f32>(tiles[at], tiles[at + SIDE], tiles[at + 2u * SIDE], tiles[at + 3u * SIDE]);
}

// Four own tokens, a column each, against four of the turn, over a slice from vec4 d on.
fn products(d: u32, lane: u32) -> mat4x4<f32> {
    var sum = mat4x4<f32>();
    for (var quad = 0u; quad < min(SIDE, shape.head_quads - d); quad++) {
        sum += transpose(four_of(ACROSS, quad, lane % SIDE)) * four_of(DOWN, quad, lane / SIDE);
    }
    return sum;
}

// Shows all what four of the turn's tokens, a row each, weigh for four of the own, a column each.
fn share_weights(weights: mat4x4<f32>, lane: u32) {
    let at = WEIGHTS + lane % SIDE * STEP + lane / SIDE;
    tiles[at] = weights[0];
    tiles[at + SIDE] = weights[1];
    tiles[at + 2u * SIDE] = weights[2];
    tiles[at + 3u * SIDE] = weights[3];
}

// What the turn's tokens bring for four own tokens, a column each: the invocation's vec4 of the slice in ACROSS.
fn brought(lane: u32) -> mat4x4<f32> {
    var sum = mat4x4<f32>();
    for (var tokens = 0u; tokens < SIDE; tokens++) {
        sum += four_of(ACROSS, lane % SIDE, tokens) * four_of(WEIGHTS, tokens, lane / SIDE);
    }
    return sum;
}

// For 4 own tokens, over all of the turn, from each invocation's own.
fn largest_of_block(lane: u32, own: vec4<f32>) -> vec4<f32> {
    maxima[lane] = own;
    workgroupBarrier();
    var all = own;
    for (var i = 0u; i < SIDE; i++) {
        all = max(all, maxima[lane / SIDE * SIDE + i]);
    }
    return all;
}

// The sum over the invocations of the same 4 tokens, in their order.
fn total_of_block(lane: u32, own: vec4<f32>) -> vec4<f32> {
    totals[lane] = own;
    workgroupBarrier();
    var all = vec4<f32>();
    for (var i = 0u; i < SIDE; i++) {
        all += totals[lane / SIDE * SIDE + i];
    }
    return all;
}

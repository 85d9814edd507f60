// Shared by the two backward passes of attention: weights recomputed from lse, and the gradient of the scores.
//
// The importing shader also declares dout, lse and delta.
#ifdef TILED
#import attention_block
#else
#import attention_run
#endif

// What the forward pass and delta know of 4 queries.
struct Known {
    lse: vec4<f32>,
    delta: vec4<f32>,
}

// The places of four queries in lse and delta; past the last one, the last one again.
fn numbers_of(place: Place, t: u32) -> vec4<u32> {
    return place.index * shape.context + min(t + QUAD, vec4<u32>(shape.context - 1u));
}

fn lse_of(place: Place, t: u32) -> vec4<f32> {
    let at = numbers_of(place, t);
    return vec4<f32>(lse[at.x], lse[at.y], lse[at.z], lse[at.w]);
}

fn known_of(place: Place, t: u32) -> Known {
    let at = numbers_of(place, t);
    return Known(lse_of(place, t), vec4<f32>(delta[at.x], delta[at.y], delta[at.z], delta[at.w]));
}

// Vec4 d of the rows that begin there, a column a row.
fn dout_at(rows: vec4<u32>, d: u32) -> mat4x4<f32> {
    return mat4x4<f32>(wide(dout[rows.x + d]), wide(dout[rows.y + d]), wide(dout[rows.z + d]), wide(dout[rows.w + d]));
}

// Four keys, and which of them are real.
struct Keys {
    first: u32,
    real: vec4<bool>,
}

// Weights of 4 queries and 4 keys after dropout, and the gradient of their scores before the scale.
struct Slope {
    weights: mat4x4<f32>,
    scores: mat4x4<f32>,
}

// `bits` as kept_of has them, shifted so that these begin at bit 0.
fn slope(score: mat4x4<f32>, pull: mat4x4<f32>, known: Known, bits: u32, t: u32, keys: Keys) -> Slope {
    let kept_pull = dropped(pull, bits);
    var weights = mat4x4<f32>();
    var gradient = mat4x4<f32>();
    for (var i = 0u; i < 4u; i++) {
        let weight = power(shape.scale * score[i] - known.lse[i]);
        weights[i] = select(vec4<f32>(), weight, seen(t + i, keys.first, keys.real));
        gradient[i] = shape.scale * weights[i] * (kept_pull[i] - known.delta[i]);
    }
    return Slope(dropped(weights, bits), gradient);
}

#ifdef TILED
// As stage, of dout.
fn stage_dout(tile: u32, place: Place, token: u32, d: u32, lane: u32) {
    let quad = d + lane % SIDE;
    for (var turn = 0u; turn < 4u; turn++) {
        let row = staged_row(turn, lane);
        var x = vec4<f32>();
        if (quad < shape.head_quads) {
            x = wide(dout[(row_of(place, token + row) * shape.heads + place.head) * shape.head_quads + quad]);
        }
        tiles[staged_at(tile, row, lane)] = x;
    }
}

// The sums of a slice, and what a block brings.
fn more(sums: mat4x4<f32>, lane: u32) -> mat4x4<f32> {
    workgroupBarrier();
    return sums + brought(lane);
}

// Writes the sums of 4 tokens in a part of dqkv: a slice from vec4 d on.
fn store_slice(part: u32, place: Place, d: u32, lane: u32, sums: mat4x4<f32>) {
    let token = place.first + 4u * (lane / SIDE);
    let quad = d + lane % SIDE;
    if (quad < shape.head_quads) {
        store_four(token, part_of(part, place, token) + quad, sums);
    }
}
#else
// The same as Slope of a tile.
struct Slopes {
    weights: Tile,
    scores: Tile,
}

// The gradient of the weights: dout of queries from t on against values from j on.
fn pulls(place: Place, t: u32, j: u32) -> Tile {
    let o0 = out_of(place, t);
    let o1 = out_of(place, t + 4u);
    let v0 = part_of(shape.value, place, j);
    let v1 = part_of(shape.value, place, j + 4u);
    var tile = Tile();
    for (var d = 0u; d < shape.head_quads; d++) {
        add_products(&tile, dout_at(o0, d), dout_at(o1, d), qkv_at(v0, d), qkv_at(v1, d));
    }
    return tile;
}

fn slopes(place: Place, low: Known, high: Known, real: Real, t: u32, j: u32) -> Slopes {
    let score = scores(place, t, j);
    let pull = pulls(place, t, j);
    let bits_low = kept_of(place, t, j);
    let bits_high = kept_of(place, t + 4u, j);
    let near = Keys(j, real.near);
    let far = Keys(j + 4u, real.far);
    let a = slope(score.low.near, pull.low.near, low, bits_low, t, near);
    let b = slope(score.low.far, pull.low.far, low, bits_low >> 4u, t, far);
    let c = slope(score.high.near, pull.high.near, high, bits_high, t + 4u, near);
    let d = slope(score.high.far, pull.high.far, high, bits_high >> 4u, t + 4u, far);
    let weights = Tile(Half(a.weights, b.weights), Half(c.weights, d.weights));
    return Slopes(weights, Tile(Half(a.scores, b.scores), Half(c.scores, d.scores)));
}
#endif

// Writes a vec4 of the token's row in dqkv.
fn store(token: u32, at: u32, value: vec4<f32>) {
    if (token < shape.context) {
        dqkv[at] = narrow(value);
    }
}

// A vec4 of 4 rows, a column each.
fn store_four(token: u32, at: vec4<u32>, values: mat4x4<f32>) {
    store(token, at.x, values[0]);
    store(token + 1u, at.y, values[1]);
    store(token + 2u, at.z, values[2]);
    store(token + 3u, at.w, values[3]);
}

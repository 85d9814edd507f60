// Multi-head attention, backward to the keys and the values.
//
//   p[t, j] = exp(s[t, j] - lse[t])        ds[t, j] = scale p[t, j] (dout[t] · v[j] - delta[t])
//   dk[j] = sum_t ds[t, j] q[t]            dv[j] = sum_t p[t, j] dout[t]
//
// Dao et al. 2022, "FlashAttention", algorithm 4; weights are recomputed, never stored. One invocation takes 8 keys of
// one head, 8 queries a turn, and keeps its sums on chip; with TILED a workgroup takes 32 keys, 32 queries a turn. It
// writes the parts of keys and values in dqkv, which is laid out as qkv is. With DROPOUT it drops the same weights as the
// forward pass.
//
//   0 qkv      rows = batch · context                    vec4
//   1 mask     [batch, context]                          0: a key that nobody sees (padding)
//   2 dout     [rows, heads, head_quads]                 vec4
//   3 lse      [batch, heads, context]
//   4 delta    [batch, heads, context]
//   5 dqkv     as qkv
//   6 shape
//   7 position                                           with DROPOUT
//
// Numerics: a key that nobody sees gets 0, and if that is all keys of a tile, no query is read. Queries are added up in
// their order.
#import attention_backward
#ifdef DROPOUT
#import metrics
#endif

@group(0) @binding(0) var<storage, read> qkv: array<Stored>;
@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read> dout: array<Stored>;
@group(0) @binding(3) var<storage, read> lse: array<f32>;
@group(0) @binding(4) var<storage, read> delta: array<f32>;
@group(0) @binding(5) var<storage, read_write> dqkv: array<Stored>;
@group(0) @binding(6) var<uniform> shape: Attention;
#ifdef DROPOUT
@group(0) @binding(7) var<storage, read> position: Position;
#endif

#ifdef TILED
// The slopes of 4 queries, a column each, and 4 own keys.
fn slope_of(place: Place, block: u32, lane: u32) -> Slope {
    let t = block + 4u * (lane % SIDE);
    let j = place.first + 4u * (lane / SIDE);
    var score = mat4x4<f32>();
    for (var d = 0u; d < shape.head_quads; d += SIDE) {
        workgroupBarrier();
        stage(DOWN, shape.key, place, place.first, d, lane);
        stage(ACROSS, shape.query, place, block, d, lane);
        workgroupBarrier();
        score += products(d, lane);
    }
    var pull = mat4x4<f32>();
    for (var d = 0u; d < shape.head_quads; d += SIDE) {
        workgroupBarrier();
        stage(DOWN, shape.value, place, place.first, d, lane);
        stage_dout(ACROSS, place, block, d, lane);
        workgroupBarrier();
        pull += products(d, lane);
    }
    let keys = Keys(j, real_keys(place, j));
    return slope(transpose(score), transpose(pull), known_of(place, t), kept_of(place, t, j), t, keys);
}

// What a slice's sums of 4 values are with a block of queries. Their dout of one slice is there already.
fn to_values(sums: mat4x4<f32>, place: Place, t: u32, d: u32, lane: u32) -> mat4x4<f32> {
    if (shape.head_quads > SIDE) {
        workgroupBarrier();
        stage_dout(ACROSS, place, t, d, lane);
    }
    return more(sums, lane);
}

// The same of 4 keys.
fn to_keys(sums: mat4x4<f32>, place: Place, t: u32, d: u32, lane: u32) -> mat4x4<f32> {
    workgroupBarrier();
    stage(ACROSS, shape.query, place, t, d, lane);
    return more(sums, lane);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = block_of(group, grid);
    if (!is_inside(place)) {
        return;
    }
    let real = span_of(place, place.first, min(place.first + BLOCK, shape.context), lane);
    let end = select(0u, shape.context, real.y != 0u);
    // Two slices at once, of keys and of values each: as many sums as the other passes have for four.
    for (var part = 0u; part < shape.head_quads; part += SLICES * SIDE) {
        var keys = Sums();
        var values = Sums();
        for (var t = select(0u, place.first, CAUSAL != 0u); t < end; t += BLOCK) {
            let own = slope_of(place, t, lane);
            share_weights(transpose(own.weights), lane);
            values.first = to_values(values.first, place, t, part, lane);
            if (SLICES > 1u) {
                values.second = to_values(values.second, place, t, part + SIDE, lane);
            }
            workgroupBarrier();
            share_weights(transpose(own.scores), lane);
            keys.first = to_keys(keys.first, place, t, part, lane);
            if (SLICES > 1u) {
                keys.second = to_keys(keys.second, place, t, part + SIDE, lane);
            }
        }
        store_slice(shape.key, place, part, lane, keys.first);
        store_slice(shape.value, place, part, lane, values.first);
        if (SLICES > 1u) {
            store_slice(shape.key, place, part + SIDE, lane, keys.second);
            store_slice(shape.value, place, part + SIDE, lane, values.second);
        }
    }
}
#else
// Adds to vec4 d of the sums from there on what 8 queries' columns a0 and a1 bring, weighed.
fn hold_tile(at: u32, weights: Tile, a0: mat4x4<f32>, a1: mat4x4<f32>) {
    hold_more(at, a0 * transpose(weights.low.near) + a1 * transpose(weights.high.near));
    hold_more(at + 4u * WORKGROUP, a0 * transpose(weights.low.far) + a1 * transpose(weights.high.far));
}

// Writes vec4 d of the run's rows in a part of dqkv, from their sums.
fn store_run(part: u32, place: Place, d: u32, at: u32) {
    store_four(place.first, part_of(part, place, place.first) + d, held_four(at));
    store_four(place.first + 4u, part_of(part, place, place.first + 4u) + d, held_four(at + 4u * WORKGROUP));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = place_of(id.y * grid.x * WORKGROUP + id.x);
    if (!is_inside(place)) {
        return;
    }
    let real = real_of(place, place.first);
    let end = select(shape.context, 0u, are_hidden(real));
    for (var part = 0u; part < shape.head_quads; part += PART) {
        let quads = min(PART, shape.head_quads - part);
        // Sums of keys, then those of values.
        clear_held(2u * quads, lane);
        for (var t = select(0u, place.first, CAUSAL != 0u); t < end; t += 8u) {
            let tile = slopes(place, known_of(place, t), known_of(place, t + 4u), real, t, place.first);
            let q0 = part_of(shape.query, place, t) + part;
            let q1 = part_of(shape.query, place, t + 4u) + part;
            let o0 = out_of(place, t) + part;
            let o1 = out_of(place, t + 4u) + part;
            for (var d = 0u; d < quads; d++) {
                hold_tile(held_at(d, lane), tile.scores, qkv_at(q0, d), qkv_at(q1, d));
                hold_tile(held_at(quads + d, lane), tile.weights, dout_at(o0, d), dout_at(o1, d));
            }
        }
        for (var d = 0u; d < quads; d++) {
            store_run(shape.key, place, part + d, held_at(d, lane));
            store_run(shape.value, place, part + d, held_at(quads + d, lane));
        }
    }
}
#endif

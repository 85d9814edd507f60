// Multi-head attention, backward to the queries.
//
//   p[t, j] = exp(s[t, j] - lse[t])        ds[t, j] = scale p[t, j] (dout[t] · v[j] - delta[t])
//   dq[t] = sum_j ds[t, j] k[j]            delta[t] = dout[t] · out[t] = sum_j p[t, j] dp[t, j], dropout included
//
// Dao et al. 2022, "FlashAttention", algorithm 4; weights are recomputed, never stored. As in the forward pass one
// invocation takes 8 queries of one head, 8 keys a turn, and keeps its sums on chip; with TILED a workgroup takes 32
// queries, 32 keys a turn, and tiles of keys that the mask hides whole are left out. It writes only the queries' part of
// dqkv, which is laid out as qkv is, and delta for the pass to keys and values. With DROPOUT it drops the same weights as
// the forward pass.
//
//   0 qkv      rows = batch · context                    vec4
//   1 mask     [batch, context]                          0: a key that nobody sees (padding)
//   2 out      [rows, heads, head_quads]                 vec4
//   3 dout     [rows, heads, head_quads]                 vec4
//   4 lse      [batch, heads, context]
//   5 delta    [batch, heads, context]
//   6 dqkv     as qkv
//   7 shape
//   8 position                                           with DROPOUT
//
// Numerics: a query that sees no key gets 0. Keys are summed in order.
#import attention_backward
#ifdef DROPOUT
#import metrics
#endif

@group(0) @binding(0) var<storage, read> qkv: array<Stored>;
@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read> out: array<Stored>;
@group(0) @binding(3) var<storage, read> dout: array<Stored>;
@group(0) @binding(4) var<storage, read> lse: array<f32>;
@group(0) @binding(5) var<storage, read_write> delta: array<f32>;
@group(0) @binding(6) var<storage, read_write> dqkv: array<Stored>;
@group(0) @binding(7) var<uniform> shape: Attention;
#ifdef DROPOUT
@group(0) @binding(8) var<storage, read> position: Position;
#endif

// Of the rows of 4 queries, every so many vec4s from the first on.
fn delta_of(rows: vec4<u32>, first: u32, every: u32) -> vec4<f32> {
    var sums = vec4<f32>();
    for (var d = first; d < shape.head_quads; d += every) {
        sums += vec4<f32>(
            dot(wide(dout[rows.x + d]), wide(out[rows.x + d])),
            dot(wide(dout[rows.y + d]), wide(out[rows.y + d])),
            dot(wide(dout[rows.z + d]), wide(out[rows.z + d])),
            dot(wide(dout[rows.w + d]), wide(out[rows.w + d])),
        );
    }
    return sums;
}

fn store_delta(place: Place, t: u32, sums: vec4<f32>) {
    for (var i = 0u; i < 4u && t + i < shape.context; i++) {
        delta[place.index * shape.context + t + i] = sums[i];
    }
}

#ifdef TILED
// What a slice's sums of 4 queries are with a block of keys. Keys of one slice are there already.
fn added(sums: mat4x4<f32>, place: Place, j: u32, d: u32, lane: u32) -> mat4x4<f32> {
    if (shape.head_quads > SIDE) {
        workgroupBarrier();
        stage(ACROSS, shape.key, place, j, d, lane);
    }
    return more(sums, lane);
}

// The gradient of the scores of 4 queries and 4 keys.
fn slope_of(place: Place, known: Known, block: u32, lane: u32) -> mat4x4<f32> {
    let t = place.first + 4u * (lane / SIDE);
    let j = block + 4u * (lane % SIDE);
    var pull = mat4x4<f32>();
    for (var d = 0u; d < shape.head_quads; d += SIDE) {
        workgroupBarrier();
        stage_dout(DOWN, place, place.first, d, lane);
        stage(ACROSS, shape.value, place, block, d, lane);
        workgroupBarrier();
        pull += products(d, lane);
    }
    var score = mat4x4<f32>();
    for (var d = 0u; d < shape.head_quads; d += SIDE) {
        workgroupBarrier();
        stage(DOWN, shape.query, place, place.first, d, lane);
        stage(ACROSS, shape.key, place, block, d, lane);
        workgroupBarrier();
        score += products(d, lane);
    }
    return slope(score, pull, known, kept_of(place, t, j), t, Keys(j, real_keys(place, j))).scores;
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
    let t = place.first + 4u * (lane / SIDE);
    let known = Known(lse_of(place, t), total_of_block(lane, delta_of(out_of(place, t), lane % SIDE, SIDE)));
    if (lane % SIDE == 0u) {
        store_delta(place, t, known.delta);
    }
    let keys = keys_of(place, lane);
    for (var part = 0u; part < shape.head_quads; part += SLICES * SIDE) {
        var sums = Sums();
        for (var j = keys.x; j < keys.y; j += BLOCK) {
            share_weights(slope_of(place, known, j, lane), lane);
            sums.first = added(sums.first, place, j, part, lane);
            if (SLICES > 1u) {
                sums.second = added(sums.second, place, j, part + SIDE, lane);
            }
            if (SLICES > 2u) {
                sums.third = added(sums.third, place, j, part + 2u * SIDE, lane);
            }
            if (SLICES > 3u) {
                sums.fourth = added(sums.fourth, place, j, part + 3u * SIDE, lane);
            }
        }
        store_slice(shape.query, place, part, lane, sums.first);
        if (SLICES > 1u) {
            store_slice(shape.query, place, part + SIDE, lane, sums.second);
        }
        if (SLICES > 2u) {
            store_slice(shape.query, place, part + 2u * SIDE, lane, sums.third);
        }
        if (SLICES > 3u) {
            store_slice(shape.query, place, part + 3u * SIDE, lane, sums.fourth);
        }
    }
}
#else
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
    let t = place.first;
    let known_low = Known(lse_of(place, t), delta_of(out_of(place, t), 0u, 1u));
    let known_high = Known(lse_of(place, t + 4u), delta_of(out_of(place, t + 4u), 0u, 1u));
    store_delta(place, t, known_low.delta);
    store_delta(place, t + 4u, known_high.delta);
    let end = select(shape.context, min(t + 8u, shape.context), CAUSAL != 0u);
    for (var part = 0u; part < shape.head_quads; part += PART) {
        let quads = min(PART, shape.head_quads - part);
        clear_held(quads, lane);
        for (var j = 0u; j < end; j += 8u) {
            let real = real_of(place, j);
            if (are_hidden(real)) {
                continue;
            }
            let ds = slopes(place, known_low, known_high, real, t, j).scores;
            let k0 = part_of(shape.key, place, j) + part;
            let k1 = part_of(shape.key, place, j + 4u) + part;
            for (var d = 0u; d < quads; d++) {
                let near = qkv_at(k0, d);
                let far = qkv_at(k1, d);
                let at = held_at(d, lane);
                hold_more(at, near * ds.low.near + far * ds.low.far);
                hold_more(at + 4u * WORKGROUP, near * ds.high.near + far * ds.high.far);
            }
        }
        let low = part_of(shape.query, place, t) + part;
        let high = part_of(shape.query, place, t + 4u) + part;
        for (var d = 0u; d < quads; d++) {
            store_four(t, low + d, held_four(held_at(d, lane)));
            store_four(t + 4u, high + d, held_four(held_at(d, lane) + 4u * WORKGROUP));
        }
    }
}
#endif

// Multi-head attention, backward to the queries.
//
//   p[t, j] = exp(s[t, j] - lse[t])        ds[t, j] = scale p[t, j] (dout[t] · v[j] - delta[t])
//   dq[t] = sum_j ds[t, j] k[j]            delta[t] = dout[t] · out[t] = sum_j p[t, j] dp[t, j], dropout included
//
// Dao et al. 2022, "FlashAttention", algorithm 4; weights are recomputed, never stored. As in the forward pass one
// invocation takes 8 queries of one head, 8 keys a turn, and keeps its sums in dqkv, laid out like qkv. It writes only
// the queries' part, and delta for the pass to keys and values. With TILED a workgroup takes 32 queries, 32 keys a
// turn. With DROPOUT it drops the same weights as the forward pass.
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

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> qkv: array<Stored>;
@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read> out: array<Stored>;
@group(0) @binding(3) var<storage, read> dout: array<Stored>;
@group(0) @binding(4) var<storage, read> lse: array<f32>;
@group(0) @binding(5) var<storage, read_write> delta: array<f32>;
@group(0) @binding(6) var<storage, read_write> dqkv: array<vec4<f32>>;
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
// [keys][queries] by fours.
var<workgroup> scores_shared: array<mat4x4<f32>, SIDE * SIDE>;

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
    let down = lane / SIDE;
    let along = lane % SIDE;
    let t = place.first + 4u * down;
    let rows = part_of(shape.query, place, t);
    let known = Known(lse_of(place, t), total_of_block(lane, delta_of(out_of(place, t), along, SIDE)));
    if (along == 0u) {
        store_delta(place, t, known.delta);
    }
    let end = select(shape.context, min(place.first + BLOCK, shape.context), CAUSAL != 0u);
    for (var j = 0u; j < end; j += BLOCK) {
        scores_shared[along * SIDE + down] = slope_of(place, known, t, j + 4u * along).scores;
        workgroupBarrier();
        for (var d = along; d < shape.head_quads; d += SIDE) {
            var brought = mat4x4<f32>();
            for (var i = 0u; i < SIDE; i++) {
                brought += qkv_at(part_of(shape.key, place, j + 4u * i), d) * scores_shared[i * SIDE + down];
            }
            add_four(t, rows + d, j == 0u, brought);
        }
        workgroupBarrier();
    }
}
#else
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let place = place_of(id.y * grid.x * WORKGROUP + id.x);
    if (!is_inside(place)) {
        return;
    }
    let t = place.first;
    let low = part_of(shape.query, place, t);
    let high = part_of(shape.query, place, t + 4u);
    let known_low = Known(lse_of(place, t), delta_of(out_of(place, t), 0u, 1u));
    let known_high = Known(lse_of(place, t + 4u), delta_of(out_of(place, t + 4u), 0u, 1u));
    store_delta(place, t, known_low.delta);
    store_delta(place, t + 4u, known_high.delta);
    let end = select(shape.context, min(t + 8u, shape.context), CAUSAL != 0u);
    for (var j = 0u; j < end; j += 8u) {
        let ds = slopes(place, known_low, known_high, t, j).scores;
        let k0 = part_of(shape.key, place, j);
        let k1 = part_of(shape.key, place, j + 4u);
        for (var d = 0u; d < shape.head_quads; d++) {
            let near = qkv_at(k0, d);
            let far = qkv_at(k1, d);
            add_four(t, low + d, j == 0u, near * ds.low.near + far * ds.low.far);
            add_four(t + 4u, high + d, j == 0u, near * ds.high.near + far * ds.high.far);
        }
    }
}
#endif

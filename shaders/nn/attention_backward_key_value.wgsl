// Multi-head attention, backward to the keys and the values.
//
//   p[t, j] = exp(s[t, j] - lse[t])        ds[t, j] = scale p[t, j] (dout[t] · v[j] - delta[t])
//   dk[j] = sum_t ds[t, j] q[t]            dv[j] = sum_t p[t, j] dout[t]
//
// Dao et al. 2022, "FlashAttention", algorithm 4; weights are recomputed, never stored. One invocation takes 8 keys of
// one head, 8 queries a turn, and keeps its sums in dqkv, which is laid out as qkv is. It writes the parts of keys and
// values. With TILED a workgroup takes 32 keys, 32 queries a turn. With DROPOUT it drops the same weights as the
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
// Numerics: a key that nobody sees gets 0. Queries are added up in their order.
#import attention_backward
#ifdef DROPOUT
#import metrics
#endif

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> qkv: array<Stored>;
@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read> dout: array<Stored>;
@group(0) @binding(3) var<storage, read> lse: array<f32>;
@group(0) @binding(4) var<storage, read> delta: array<f32>;
@group(0) @binding(5) var<storage, read_write> dqkv: array<vec4<f32>>;
@group(0) @binding(6) var<uniform> shape: Attention;
#ifdef DROPOUT
@group(0) @binding(7) var<storage, read> position: Position;
#endif

#ifdef TILED
// [queries][keys] by fours, a column a query.
var<workgroup> weights_shared: array<mat4x4<f32>, SIDE * SIDE>;
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
    let j = place.first + 4u * down;
    let keys = part_of(shape.key, place, j);
    let values = part_of(shape.value, place, j);
    let begin = select(0u, place.first, CAUSAL != 0u);
    for (var t = begin; t < shape.context; t += BLOCK) {
        let queries = t + 4u * along;
        let own = slope_of(place, known_of(place, queries), queries, j);
        weights_shared[along * SIDE + down] = own.weights;
        scores_shared[along * SIDE + down] = own.scores;
        workgroupBarrier();
        for (var d = along; d < shape.head_quads; d += SIDE) {
            var to_keys = mat4x4<f32>();
            var to_values = mat4x4<f32>();
            for (var i = 0u; i < SIDE; i++) {
                let queries = qkv_at(part_of(shape.query, place, t + 4u * i), d);
                to_keys += queries * transpose(scores_shared[i * SIDE + down]);
                to_values += dout_at(out_of(place, t + 4u * i), d) * transpose(weights_shared[i * SIDE + down]);
            }
            add_four(j, keys + d, t == begin, to_keys);
            add_four(j, values + d, t == begin, to_values);
        }
        workgroupBarrier();
    }
}
#else
// The first vec4 of 8 keys' rows in a part of dqkv.
struct Rows {
    near: vec4<u32>,
    far: vec4<u32>,
}

fn rows_in(part: u32, place: Place) -> Rows {
    return Rows(part_of(part, place, place.first), part_of(part, place, place.first + 4u));
}

// Adds to vec4 d of these rows what 8 queries' columns a0 and a1 bring, weighed.
fn add_tile(rows: Rows, place: Place, d: u32, first: bool, weights: Tile, a0: mat4x4<f32>, a1: mat4x4<f32>) {
    let near = a0 * transpose(weights.low.near) + a1 * transpose(weights.high.near);
    let far = a0 * transpose(weights.low.far) + a1 * transpose(weights.high.far);
    add_four(place.first, rows.near + d, first, near);
    add_four(place.first + 4u, rows.far + d, first, far);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let place = place_of(id.y * grid.x * WORKGROUP + id.x);
    if (!is_inside(place)) {
        return;
    }
    let keys = rows_in(shape.key, place);
    let values = rows_in(shape.value, place);
    let begin = select(0u, place.first, CAUSAL != 0u);
    for (var t = begin; t < shape.context; t += 8u) {
        let tile = slopes(place, known_of(place, t), known_of(place, t + 4u), t, place.first);
        let q0 = part_of(shape.query, place, t);
        let q1 = part_of(shape.query, place, t + 4u);
        let o0 = out_of(place, t);
        let o1 = out_of(place, t + 4u);
        let first = t == begin;
        for (var d = 0u; d < shape.head_quads; d++) {
            add_tile(keys, place, d, first, tile.scores, qkv_at(q0, d), qkv_at(q1, d));
            add_tile(values, place, d, first, tile.weights, dout_at(o0, d), dout_at(o1, d));
        }
    }
}
#endif

// Multi-head attention, forward, in one pass over the keys: scores are made, used and forgotten tile by tile.
//
//   s[t, j] = scale q[t] · k[j]       p[t] = softmax over the seen keys of s[t]       out[t] = sum_j p[t, j] v[j]
//   lse[t] = log sum_j exp(s[t, j])   for the backward pass
//
// Dao et al. 2022, "FlashAttention", algorithm 1, line 12 (the running softmax is Milakov & Gimelshein 2018, its use here
// Rabe & Staats 2021): `out` always holds the attention over the keys so far. A tile of keys brings a new maximum m' and
// a new sum l', and then
//
//   out' = (l e^(m - m') / l') out + sum_j (e^(s[j] - m') / l') v[j]
//
// One invocation takes 8 queries of one head, 8 keys a turn. Only scores and weights are in registers, for any size of
// a head: 32 loads for 512 products in the scores, 24 loads and stores for 256 in the weighted sums. With TILED a
// workgroup takes 32 queries, 32 keys a turn (shaders/shared/attention_block.wgsl).
//
// qkv is [rows, 3 hidden] (query, key, value = 0, h, 2h; stride 3h, h the vec4s of hidden) or [3][rows, hidden] (0, rows h,
// 2 rows h; stride h). With DROPOUT a weight p is dropped after the softmax.
//
//   0 qkv      rows = batch · context                    vec4
//   1 mask     [batch, context]                          0: a key that nobody sees (padding)
//   2 out      [rows, heads, head_quads]                 vec4
//   3 lse      [batch, heads, context]
//   4 shape
//   5 position                                           with DROPOUT
//
// Numerics: exponents are at most 0. A query that sees no key has out = 0 and lse = 0. Keys are added up in their order.
#ifdef TILED
#import attention_block
#else
#import attention_tile
#endif
#ifdef DROPOUT
#import metrics
#endif

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> qkv: array<Stored>;
@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> lse: array<f32>;
@group(0) @binding(4) var<uniform> shape: Attention;
#ifdef DROPOUT
@group(0) @binding(5) var<storage, read> position: Position;
#endif

// Below every score; exp of it less a score is 0.
const LOWEST: f32 = -3e38;

// What 4 queries know of the keys so far.
struct Running {
    top: vec4<f32>,            // the largest score
    sum: vec4<f32>,            // of exp(score - top)
    fade: vec4<f32>,           // what the latest tile left of each row of out
}

fn largest(x: vec4<f32>) -> f32 {
    return max(max(x.x, x.y), max(x.z, x.w));
}

// Fades a vec4 of token t's row and adds what the tile brings; the first tile finds nothing to fade.
fn add(t: u32, at: u32, j: u32, fade: f32, brought: vec4<f32>) {
    if (t >= shape.context) {
        return;
    }
    var sum = brought;
    if (j > 0u) {
        sum += fade * out[at];
    }
    out[at] = sum;
}

fn add_four(t: u32, at: vec4<u32>, j: u32, fade: vec4<f32>, brought: mat4x4<f32>) {
    add(t, at.x, j, fade.x, brought[0]);
    add(t + 1u, at.y, j, fade.y, brought[1]);
    add(t + 2u, at.z, j, fade.z, brought[2]);
    add(t + 3u, at.w, j, fade.w, brought[3]);
}

// Whether no key was seen yet: else the largest has brought a 1. By bits, since a comparison promises nothing about a
// NaN, which must stay.
fn are_empty(sums: vec4<f32>) -> vec4<bool> {
    return bitcast<vec4<u32>>(sums) == vec4<u32>();
}

fn store_lse(place: Place, t: u32, running: Running) {
    let sums = opaque(running.sum, shape.zero);
    let logarithms = select(running.top + log(running.sum), vec4<f32>(), are_empty(running.sum));
    let value = bitcast<vec4<f32>>(select(bitcast<vec4<u32>>(logarithms), sums, are_nan(sums)));
    for (var i = 0u; i < 4u && t + i < shape.context; i++) {
        lse[place.index * shape.context + t + i] = value[i];
    }
}

#ifdef TILED
// [keys][queries] by fours.
var<workgroup> weights: array<mat4x4<f32>, SIDE * SIDE>;

// For 4 queries, over all keys of the block, from each invocation's own.
fn largest_of_block(lane: u32, own: vec4<f32>) -> vec4<f32> {
    shares[lane] = own;
    workgroupBarrier();
    var all = own;
    for (var i = 0u; i < SIDE; i++) {
        all = max(all, shares[lane / SIDE * SIDE + i]);
    }
    workgroupBarrier();
    return all;
}

struct Softened {
    weights: mat4x4<f32>,
    running: Running,
}

// Takes a block's scores of 4 queries into account, by all invocations of these; gives what the invocation's keys weigh.
fn soften(score: mat4x4<f32>, known: Running, place: Place, lane: u32, t: u32, j: u32) -> Softened {
    let real = real_keys(place, j);
    var own = vec4<f32>();
    for (var i = 0u; i < 4u; i++) {
        own[i] = largest(select(vec4<f32>(LOWEST), shape.scale * score[i], seen(t + i, j, real)));
    }
    let top = max(known.top, largest_of_block(lane, own));
    var some = mat4x4<f32>();
    for (var i = 0u; i < 4u; i++) {
        some[i] = select(vec4<f32>(), power(shape.scale * score[i] - top[i]), seen(t + i, j, real));
        own[i] = dot(some[i], vec4<f32>(1.0));
    }
    let old = known.sum * exp(known.top - top);
    let sum = old + total_of_block(lane, own);
    // As long as no key was seen everything is 0.
    let share = select(1.0 / sum, vec4<f32>(), are_empty(sum));
    for (var i = 0u; i < 4u; i++) {
        some[i] *= share[i];
    }
    return Softened(dropped(some, kept_of(place, t, j)), Running(top, sum, old * share));
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
    let down = lane / SIDE;
    let along = lane % SIDE;
    let t = place.first + 4u * down;
    let rows = out_of(place, t);
    var running = Running(vec4<f32>(LOWEST), vec4<f32>(), vec4<f32>());
    let end = select(shape.context, min(place.first + BLOCK, shape.context), CAUSAL != 0u);
    for (var j = 0u; j < end; j += BLOCK) {
        let keys = j + 4u * along;
        let soft = soften(score_of(place, t, keys), running, place, lane, t, keys);
        running = soft.running;
        weights[along * SIDE + down] = soft.weights;
        workgroupBarrier();
        for (var d = along; d < shape.head_quads; d += SIDE) {
            var brought = mat4x4<f32>();
            for (var i = 0u; i < SIDE; i++) {
                brought += qkv_at(part_of(shape.value, place, j + 4u * i), d) * weights[i * SIDE + down];
            }
            add_four(t, rows + d, j, running.fade, brought);
        }
        workgroupBarrier();
    }
    if (along == 0u) {
        store_lse(place, t, running);
    }
}
#else
struct Softened {
    weights: Half,
    running: Running,
}

// Takes a tile's scores of 4 queries into account; gives what the keys weigh.
fn soften(scores: Half, known: Running, place: Place, t: u32, j: u32) -> Softened {
    let real_near = real_keys(place, j);
    let real_far = real_keys(place, j + 4u);
    let lowest = vec4<f32>(LOWEST);
    var weights = scores;
    var running = known;
    for (var i = 0u; i < 4u; i++) {
        let see_near = seen(t + i, j, real_near);
        let see_far = seen(t + i, j + 4u, real_far);
        let near = shape.scale * scores.near[i];
        let far = shape.scale * scores.far[i];
        let top = max(known.top[i], largest(max(select(lowest, near, see_near), select(lowest, far, see_far))));
        let weight_near = select(vec4<f32>(), power(near - top), see_near);
        let weight_far = select(vec4<f32>(), power(far - top), see_far);
        let old = known.sum[i] * exp(known.top[i] - top);
        let sum = old + dot(weight_near + weight_far, vec4<f32>(1.0));
        // As long as no key was seen everything is 0.
        let share = select(1.0 / sum, 0.0, bitcast<u32>(sum) == 0u);
        running.top[i] = top;
        running.sum[i] = sum;
        running.fade[i] = old * share;
        weights.near[i] = share * weight_near;
        weights.far[i] = share * weight_far;
    }
    let bits = kept_of(place, t, j);
    return Softened(Half(dropped(weights.near, bits), dropped(weights.far, bits >> 4u)), running);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let place = place_of(id.y * grid.x * WORKGROUP + id.x);
    if (!is_inside(place)) {
        return;
    }
    let t = place.first;
    var low = Running(vec4<f32>(LOWEST), vec4<f32>(), vec4<f32>());
    var high = low;
    let out_low = out_of(place, t);
    let out_high = out_of(place, t + 4u);
    let end = select(shape.context, min(t + 8u, shape.context), CAUSAL != 0u);
    for (var j = 0u; j < end; j += 8u) {
        let tile = scores(place, t, j);
        let soft_low = soften(tile.low, low, place, t, j);
        let soft_high = soften(tile.high, high, place, t + 4u, j);
        low = soft_low.running;
        high = soft_high.running;
        let v0 = part_of(shape.value, place, j);
        let v1 = part_of(shape.value, place, j + 4u);
        for (var d = 0u; d < shape.head_quads; d++) {
            let near = qkv_at(v0, d);
            let far = qkv_at(v1, d);
            let into_low = near * soft_low.weights.near + far * soft_low.weights.far;
            let into_high = near * soft_high.weights.near + far * soft_high.weights.far;
            add_four(t, out_low + d, j, low.fade, into_low);
            add_four(t + 4u, out_high + d, j, high.fade, into_high);
        }
    }
    store_lse(place, t, low);
    store_lse(place, t + 4u, high);
}
#endif

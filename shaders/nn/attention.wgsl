// Multi-head attention, forward, in one pass over the keys: scores are made, used and forgotten tile by tile.
//
//   s[t, j] = scale q[t] · k[j]       p[t] = softmax over the seen keys of s[t]       out[t] = sum_j p[t, j] v[j]
//   lse[t] = log sum_j exp(s[t, j])   for the backward pass
//
// Dao 2023, "FlashAttention-2", algorithm 1 (the running softmax is Milakov & Gimelshein 2018, its use here Rabe & Staats
// 2021): sums stay on chip and are divided once, at the end. A tile of keys brings a new maximum m' and then
//
//   l' = l e^(m - m') + sum_j e^(s[j] - m')        sum' = sum e^(m - m') + sum_j e^(s[j] - m') v[j]        out = sum / l
//
// One invocation takes 8 queries of one head, 8 keys a turn (shaders/shared/attention_run.wgsl): 32 loads for 512 products
// in the scores, 24 for 256 in the weighted sums. With TILED a workgroup takes 32 queries, 32 keys a turn
// (shaders/shared/attention_block.wgsl). Tiles of keys that the mask hides whole are left out, with TILED at either end.
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
// Numerics: exponents are at most 0. A tile that is left out would change no bit. A query that sees no key has out = 0 and lse = 0. Keys are added up in their order.
#ifdef TILED
#import attention_block
#else
#import attention_run
#endif
#ifdef DROPOUT
#import metrics
#endif

@group(0) @binding(0) var<storage, read> qkv: array<Stored>;
@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<Stored>;
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
    fade: vec4<f32>,           // what the latest tile left of each sum so far
}

fn largest(x: vec4<f32>) -> f32 {
    return max(max(x.x, x.y), max(x.z, x.w));
}

fn nothing_yet() -> Running {
    return Running(vec4<f32>(LOWEST), vec4<f32>(), vec4<f32>());
}

// Writes a vec4 of token t's row.
fn store(t: u32, at: u32, value: vec4<f32>) {
    if (t < shape.context) {
        out[at] = narrow(value);
    }
}

// Writes a vec4 of 4 rows from their sums, a column each.
fn store_four(t: u32, at: vec4<u32>, sums: mat4x4<f32>, share: vec4<f32>) {
    store(t, at.x, share.x * sums[0]);
    store(t + 1u, at.y, share.y * sums[1]);
    store(t + 2u, at.z, share.z * sums[2]);
    store(t + 3u, at.w, share.w * sums[3]);
}

// Whether no key was seen: else the largest has brought a 1. By bits, since a comparison promises nothing about a
// NaN, which must stay.
fn are_empty(sums: vec4<f32>) -> vec4<bool> {
    return bitcast<vec4<u32>>(sums) == vec4<u32>();
}

// What a sum is multiplied by at the end; 0 as long as no key was seen, when everything is 0.
fn share_of(running: Running) -> vec4<f32> {
    return select(1.0 / running.sum, vec4<f32>(), are_empty(running.sum));
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
    let fade = exp(known.top - top);
    let sum = fade * known.sum + total_of_block(lane, own);
    return Softened(dropped(some, kept_of(place, t, j)), Running(top, sum, fade));
}

// The scores of 4 queries and 4 keys, before the scale.
fn score_of(place: Place, j: u32, first: bool, lane: u32) -> mat4x4<f32> {
    var score = mat4x4<f32>();
    for (var d = 0u; d < shape.head_quads; d += SIDE) {
        workgroupBarrier();
        // Queries of one slice stay.
        if (first || shape.head_quads > SIDE) {
            stage(DOWN, shape.query, place, place.first, d, lane);
        }
        stage(ACROSS, shape.key, place, j, d, lane);
        workgroupBarrier();
        score += products(d, lane);
    }
    return score;
}

// Fades the sums of a slice from vec4 d on and adds what a block of keys brings.
fn added(sums: mat4x4<f32>, fade: vec4<f32>, place: Place, j: u32, d: u32, lane: u32) -> mat4x4<f32> {
    workgroupBarrier();
    stage(ACROSS, shape.value, place, j, d, lane);
    workgroupBarrier();
    let more = brought(lane);
    return mat4x4<f32>(
        fade.x * sums[0] + more[0],
        fade.y * sums[1] + more[1],
        fade.z * sums[2] + more[2],
        fade.w * sums[3] + more[3],
    );
}

// Writes the sums of a slice from vec4 d on.
fn store_slice(place: Place, d: u32, lane: u32, sums: mat4x4<f32>, share: vec4<f32>) {
    let t = place.first + 4u * (lane / SIDE);
    let quad = d + lane % SIDE;
    if (quad < shape.head_quads) {
        store_four(t, out_of(place, t) + quad, sums, share);
    }
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
    let keys = keys_of(place, lane);
    for (var part = 0u; part < shape.head_quads; part += SLICES * SIDE) {
        var running = nothing_yet();
        var sums = Sums();
        for (var j = keys.x; j < keys.y; j += BLOCK) {
            let score = score_of(place, j, j == keys.x, lane);
            let soft = soften(score, running, place, lane, t, j + 4u * (lane % SIDE));
            running = soft.running;
            share_weights(soft.weights, lane);
            sums.first = added(sums.first, running.fade, place, j, part, lane);
            if (SLICES > 1u) {
                sums.second = added(sums.second, running.fade, place, j, part + SIDE, lane);
            }
            if (SLICES > 2u) {
                sums.third = added(sums.third, running.fade, place, j, part + 2u * SIDE, lane);
            }
            if (SLICES > 3u) {
                sums.fourth = added(sums.fourth, running.fade, place, j, part + 3u * SIDE, lane);
            }
        }
        let share = share_of(running);
        store_slice(place, part, lane, sums.first, share);
        if (SLICES > 1u) {
            store_slice(place, part + SIDE, lane, sums.second, share);
        }
        if (SLICES > 2u) {
            store_slice(place, part + 2u * SIDE, lane, sums.third, share);
        }
        if (SLICES > 3u) {
            store_slice(place, part + 3u * SIDE, lane, sums.fourth, share);
        }
        if (part == 0u && lane % SIDE == 0u) {
            store_lse(place, t, running);
        }
    }
}
#else
struct Softened {
    weights: Half,
    running: Running,
}

// Takes a tile's scores of 4 queries into account; gives what the keys weigh.
fn soften(scores: Half, known: Running, real: Real, place: Place, t: u32, j: u32) -> Softened {
    let lowest = vec4<f32>(LOWEST);
    var weights = scores;
    var running = known;
    for (var i = 0u; i < 4u; i++) {
        let see_near = seen(t + i, j, real.near);
        let see_far = seen(t + i, j + 4u, real.far);
        let near = shape.scale * scores.near[i];
        let far = shape.scale * scores.far[i];
        let top = max(known.top[i], largest(max(select(lowest, near, see_near), select(lowest, far, see_far))));
        weights.near[i] = select(vec4<f32>(), power(near - top), see_near);
        weights.far[i] = select(vec4<f32>(), power(far - top), see_far);
        running.top[i] = top;
        running.fade[i] = exp(known.top[i] - top);
        running.sum[i] = running.fade[i] * known.sum[i] + dot(weights.near[i] + weights.far[i], vec4<f32>(1.0));
    }
    let bits = kept_of(place, t, j);
    return Softened(Half(dropped(weights.near, bits), dropped(weights.far, bits >> 4u)), running);
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
    let t = place.first;
    let end = select(shape.context, min(t + 8u, shape.context), CAUSAL != 0u);
    for (var part = 0u; part < shape.head_quads; part += PART) {
        let quads = min(PART, shape.head_quads - part);
        var low = nothing_yet();
        var high = low;
        clear_held(quads, lane);
        for (var j = 0u; j < end; j += 8u) {
            let real = real_of(place, j);
            if (are_hidden(real)) {
                continue;
            }
            let tile = scores(place, t, j);
            let soft_low = soften(tile.low, low, real, place, t, j);
            let soft_high = soften(tile.high, high, real, place, t + 4u, j);
            low = soft_low.running;
            high = soft_high.running;
            let v0 = part_of(shape.value, place, j) + part;
            let v1 = part_of(shape.value, place, j + 4u) + part;
            for (var d = 0u; d < quads; d++) {
                let near = qkv_at(v0, d);
                let far = qkv_at(v1, d);
                let at = held_at(d, lane);
                hold(at, low.fade, near * soft_low.weights.near + far * soft_low.weights.far);
                hold(at + 4u * WORKGROUP, high.fade, near * soft_high.weights.near + far * soft_high.weights.far);
            }
        }
        let out_low = out_of(place, t) + part;
        let out_high = out_of(place, t + 4u) + part;
        let share_low = share_of(low);
        let share_high = share_of(high);
        for (var d = 0u; d < quads; d++) {
            let at = held_at(d, lane);
            store_four(t, out_low + d, held_four(at), share_low);
            store_four(t + 4u, out_high + d, held_four(at + 4u * WORKGROUP), share_high);
        }
        if (part == 0u) {
            store_lse(place, t, low);
            store_lse(place, t + 4u, high);
        }
    }
}
#endif

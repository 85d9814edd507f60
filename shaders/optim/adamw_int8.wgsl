// AdamW as in update.wgsl and rule/adamw.wgsl, third stage, with moments in a byte each.
//
//   p, m, v, v_max, a <- as there, from moments as they are stored
//   m, v              <- the codes of the new ones, with a new exponent for each 16; rounded stochastically
//   v_max             <- likewise, to the nearest: it is to stay
//
// 16.25 bytes a parameter: p and g are read and p written in f32, and 17/16 bytes of m and of v read and written; 4 less with
// PARAMS16 and 2 with GRADS16, 2.125 more with AMSGRAD, 8 with AVERAGE. A workgroup does one chunk. What shares an exponent lies in one vec4, so that an invocation
// takes it alone. The exponents of a block lie in one vec4 too: 16 neighbours share a block and hand them by workgroup
// memory to the first of them, which writes them all, as a write to a part of a vec4 may touch the whole of it; on software,
// where WORKGROUP is less, an invocation takes a whole block instead.
//
//   0 chunks   [n]                    work list
//   1 control                         stats and records are read
//   2 slot0    [state page]           blocks of 17 vec4s, see shared/int8.wgsl
//   3 slot1    [state page]           as slot0
//   4 params   [page]                 as in update.wgsl
//   5 grads    [page]                 as there
//   6 segment                         the chunks that lie in these pages, and the seed of the rounding
//   7 slot2    [state page]           as slot0; with AMSGRAD
//   7 average  [state page]           vec4; with AVERAGE, and 8 with AMSGRAD too
//
// Numerics: as update.wgsl. The parameter moves by the new moments before they are rounded. What lies behind a tensor's end
// is 0 in m and v.
#import update
#import int8

override WORKGROUP: u32 = 256u;

const SHARERS: u32 = BLOCK / CODED;

// Of m, v and v_max, in the three lowest bytes.
var<workgroup> exponents: array<u32, WORKGROUP>;

// Sixteen elements and their new moments.
struct Coded {
    m: Sixteen,
    v: Sixteen,
    v_max: Sixteen,            // with AMSGRAD
}

// One vec4 of the streams, from `first` elements into the chunk; elements from `live` on are not the chunk's.
fn update_quad(step: Step, first: u32, live: u32, m_old: vec4<f32>, v_old: vec4<f32>, v_max_old: vec4<f32>) -> Quad {
    let p = params_at(step.chunk.param + first, live);
    var old = Quad();
    old.p = p;
    old.kept[0] = m_old;
    old.kept[1] = v_old;
#ifdef AMSGRAD
    old.kept[2] = v_max_old;
#endif
    var next = updated(step.record, step.value_bound, grads_at(step.record.grad + step.chunk.grad + first, live), old);
    put_params(step.chunk.param + first, live, p, next.p, rounding_words(step.key ^ OF_PARAMS, first));
#ifdef AVERAGE
    let a = (step.chunk.state + first) / 4u;
    average[a] = lerp(average[a], next.p, step.record.average_rate);
#endif
    if (live < 4u) {
        let inside = vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(live);
        next.kept[0] = select(vec4<f32>(), next.kept[0], inside);
        next.kept[1] = select(vec4<f32>(), next.kept[1], inside);
#ifdef AMSGRAD
        next.kept[2] = select(vec4<f32>(), next.kept[2], inside);
#endif
    }
    return next;
}

// Vec4 `place` of block `block` of the chunk; its new exponents.
fn update(step: Step, block: u32, place: u32) -> u32 {
    let first = block * BLOCK + place * CODED;
    if (first >= step.chunk.length) {
        return 0u;
    }
    let live = step.chunk.length - first;
    let base = (step.chunk.state / BLOCK + block) * BLOCK_VEC4S;
    let s = base + place;
    let shift = 8u * (place % 4u);
    let m_old = slot0[s];
    let v_old = slot1[s];
    let m_top = (slot0[base + SHARERS][place / 4u] >> shift) & 0xffu;
    let v_top = (slot1[base + SHARERS][place / 4u] >> shift) & 0xffu;
    var v_max_old = vec4<u32>();
    var v_max_top = 0u;
#ifdef AMSGRAD
    v_max_old = slot2[s];
    v_max_top = (slot2[base + SHARERS][place / 4u] >> shift) & 0xffu;
#endif
    var next = Coded();
    for (var k = 0u; k < 4u; k++) {
        if (4u * k >= live) {
            continue;
        }
        let old_v_max = v_of(v_max_old[k], v_max_top);
        let quad = update_quad(
            step, first + 4u * k, live - 4u * k, m_of(m_old[k], m_top), v_of(v_old[k], v_top), old_v_max);
        next.m[k] = opaque(quad.kept[0], segment.zero);
        next.v[k] = opaque(quad.kept[1], segment.zero);
#ifdef AMSGRAD
        next.v_max[k] = opaque(quad.kept[2], segment.zero);
#endif
    }
    let m_next = top_of(next.m);
    let v_next = top_of(next.v);
    var m_codes = vec4<u32>();
    var v_codes = vec4<u32>();
    for (var k = 0u; k < 4u; k++) {
        let words = rounding_words(step.key, first + 4u * k);
        m_codes[k] = m_word(next.m[k], m_next, words & vec4<u32>(0xffffu));
        v_codes[k] = v_word(next.v[k], v_next, words >> vec4<u32>(16u));
    }
    slot0[s] = m_codes;
    slot1[s] = v_codes;
    var tops = m_next | (v_next << 8u);
#ifdef AMSGRAD
    let v_max_next = top_of(next.v_max);
    var v_max_codes = vec4<u32>();
    for (var k = 0u; k < 4u; k++) {
        v_max_codes[k] = v_word(next.v_max[k], v_max_next, NEAREST);
    }
    slot2[s] = v_max_codes;
    tops |= v_max_next << 16u;
#endif
    return tops;
}

// The exponents of a block's vec4s.
alias Tops = array<vec4<u32>, 4>;

// Those of one moment, which are the bytes from bit `shift` on.
fn packed(tops: Tops, shift: u32) -> vec4<u32> {
    var words = vec4<u32>();
    for (var k = 0u; k < 4u; k++) {
        words[k] = word_of((tops[k] >> vec4<u32>(shift)) & vec4<u32>(0xffu));
    }
    return words;
}

fn put_exponents(step: Step, block: u32, tops: Tops) {
    let at = (step.chunk.state / BLOCK + block) * BLOCK_VEC4S + SHARERS;
    slot0[at] = packed(tops, 0u);
    slot1[at] = packed(tops, 8u);
#ifdef AMSGRAD
    slot2[at] = packed(tops, 16u);
#endif
}

fn update_block(step: Step, block: u32) {
    var tops = Tops();
    for (var place = 0u; place < SHARERS; place++) {
        tops[place / 4u][place % 4u] = update(step, block, place);
    }
    put_exponents(step, block, tops);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = workgroup.y * grid.x + workgroup.x;
    if (control.stats.skip != 0u || number >= segment.count) {
        return;
    }
    let step = step_of(chunks[segment.first + number]);
    if (WORKGROUP < SHARERS) {
        for (var block = lane; block * BLOCK < step.chunk.length; block += WORKGROUP) {
            update_block(step, block);
        }
        return;
    }
    for (var first = 0u; first * BLOCK < step.chunk.length; first += WORKGROUP / SHARERS) {
        let block = first + lane / SHARERS;
        let place = lane % SHARERS;
        exponents[lane] = update(step, block, place);
        storageBarrier();    // all have read the old ones
        workgroupBarrier();
        if (place == 0u && block * BLOCK < step.chunk.length) {
            var tops = Tops();
            for (var k = 0u; k < SHARERS; k++) {
                tops[k / 4u][k % 4u] = exponents[lane + k];
            }
            put_exponents(step, block, tops);
        }
        workgroupBarrier();
    }
}

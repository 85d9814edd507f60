// Update, third stage: every parameter group of one rule in one dispatch.
//
//   g <- scale · g                                      clip coefficient; clamped first where values are clipped
//   p <- p · decay                                      decoupled decay: 1 - lr wd, by this step's lr
//   g <- g + wd p                                       coupled decay instead
//   p, state <- what the rule makes of g                rule/<name>.wgsl
//   a <- a + (1 - decay)(p - a)                         AVERAGE: the moving average of the parameters
//
// The factors that hold for a whole tensor come from its record, which the control stage wrote. A step moves 12 bytes a
// parameter (p and g are read, p is written) and 8 for each slot of state; 4 for a slot with BF16, 4 less with PARAMS16
// and 2 with GRADS16, and 8 more with AVERAGE. A workgroup does one chunk; the lanes take what is stored together in turn.
//
//   0 chunks   [n]                    work list
//   1 control                         stats and records are read
//   2 slot0    [state page]           16 bytes: 4 elements, 8 with BF16
//   3 slot1    [state page]           as slot0; with SLOT1, and what follows is one further
//   3 params   [page]                 vec4; single floats with SINGLE_PARAMS; vec2 of four bf16 with PARAMS16
//   4 grads    [page]                 vec4; single floats, read-write, with SINGLE_GRADS (may share params' buffer); vec2 of
//                                     four bf16 with GRADS16
//   5 segment                         the chunks that lie in these pages, and the seed of the rounding
//   7 slot2    [state page]           as slot0; with SLOT2
//   8 slot3    [state page]           as slot0; with SLOT3
//   . average  [state page]           vec4, last; with AVERAGE
//   . matrices [tensors]              with ROWS; of each tensor in the list
//   . shares   [rows]                 with ROWS; of each row of each matrix
//
// Numerics: f32, each product and sum in the rule's order; the device may contract them. The parameter moves by the new
// state before that is rounded to bf16, as in torch's fused kernel; a parameter in bf16 is rounded stochastically.
#import update
#import moments

override WORKGROUP: u32 = 256u;

#ifdef ROWS
@group(0) @binding(SEGMENT_BINDING + 2u) var<storage, read> shares: array<f32>;

// The shares of the rows that four elements are in, from `first` elements into the chunk.
fn shares_at(chunk: Chunk, first: u32) -> vec4<f32> {
    let matrix = matrices[chunk.entry];
    if (matrix.columns == 0u) {
        return vec4<f32>();
    }
    let element = vec4<u32>(chunk.number * matrix.chunk + first) + vec4<u32>(0u, 1u, 2u, 3u);
    let row = matrix.first + min(element / matrix.columns, vec4<u32>(matrix.rows - 1u));
    return vec4<f32>(shares[row.x], shares[row.y], shares[row.z], shares[row.w]);
}
#endif

// State as it is stored together.
alias Kept = array<Stored, SLOTS>;

// One vec4 of the streams, from `first` elements into the chunk: quad k of what is kept. `live` elements from there on
// belong to the chunk.
fn update_quad(step: Step, first: u32, live: u32, kept: Kept, k: u32) -> Kept {
    let chunk = step.chunk;
    let p = params_at(chunk.param + first, live);
    var old = Quad();
    old.p = p;
    old.kept[0] = quad_of(kept[0], k);
#ifdef SLOT1
    old.kept[1] = quad_of(kept[1], k);
#endif
#ifdef SLOT2
    old.kept[2] = quad_of(kept[2], k);
#endif
#ifdef SLOT3
    old.kept[3] = quad_of(kept[3], k);
#endif
#ifdef ROWS
    old.kept[SLOTS] = shares_at(chunk, first);
#endif
    let next = updated(step.record, step.value_bound, grads_at(step.record.grad + chunk.grad + first, live), old);
    put_params(chunk.param + first, live, p, next.p, rounding_words(step.key ^ OF_PARAMS, first));
#ifdef AVERAGE
    let a = (chunk.state + first) / 4u;
    average[a] = lerp(average[a], next.p, step.record.average_rate);
#endif
    var new_kept = kept;
    new_kept[0] = with_quad(kept[0], k, next.kept[0]);
#ifdef SLOT1
    new_kept[1] = with_quad(kept[1], k, next.kept[1]);
#endif
#ifdef SLOT2
    new_kept[2] = with_quad(kept[2], k, next.kept[2]);
#endif
#ifdef SLOT3
    new_kept[3] = with_quad(kept[3], k, next.kept[3]);
#endif
    return new_kept;
}

// What is stored together, from `first` elements into the chunk. No loop over its quads: one costs a third of the step on
// software. A rule that is IDLE leaves its state alone.
fn update(step: Step, first: u32, live: u32) {
    let s = (step.chunk.state + first) / (4u * STORED_QUADS);
    var kept = Kept();
#ifdef IDLE
    let has_state = !is_idle(step.record);
    if (has_state) {
        kept[0] = slot0[s];
    }
#else
    kept[0] = slot0[s];
#endif
#ifdef SLOT1
    kept[1] = slot1[s];
#endif
#ifdef SLOT2
    kept[2] = slot2[s];
#endif
#ifdef SLOT3
    kept[3] = slot3[s];
#endif
    kept = update_quad(step, first, live, kept, 0u);
    if (STORED_QUADS == 2u && live > 4u) {
        kept = update_quad(step, first + 4u, live - 4u, kept, 1u);
    }
#ifdef IDLE
    if (has_state) {
        slot0[s] = kept[0];
    }
#else
    slot0[s] = kept[0];
#endif
#ifdef SLOT1
    slot1[s] = kept[1];
#endif
#ifdef SLOT2
    slot2[s] = kept[2];
#endif
#ifdef SLOT3
    slot3[s] = kept[3];
#endif
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = workgroup.y * grid.x + workgroup.x;
    if (control.stats.skip != 0u || place >= segment.count) {
        return;
    }
    let step = step_of(chunks[segment.first + place]);
    const ELEMENTS = 4u * STORED_QUADS;
    for (var i = lane * ELEMENTS; i < step.chunk.length; i += WORKGROUP * ELEMENTS) {
        update(step, i, step.chunk.length - i);
    }
}

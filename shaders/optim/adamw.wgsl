// AdamW, third stage: every parameter group in one dispatch.
//
//   g <- scale · g                                      clip coefficient; clamped first where values are clipped
//   p <- p (1 - lr wd)                                  AdamW: decay first, by this step's lr
//   g <- g + wd p                                       Adam instead (COUPLED)
//   m <- m + (1 - beta1)(g - m)
//   v <- beta2 v + (1 - beta2) g²                       AMSGRAD: v_max <- max(v_max, v), used below in place of v
//   p <- p - lr / (1 - beta1^t) · m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//   a <- a + (1 - decay)(p - a)                         AVERAGE: the moving average of the parameters
//
// Loshchilov & Hutter 2019 (arXiv 1711.05101), with the order of operations of torch.optim.AdamW. The factors that hold
// for a whole tensor come from its record, which the control stage wrote; t counts the steps applied to that tensor.
// 28 bytes a parameter: p, g, m, v are read, p, m, v written; 20 with BF16, 4 less with PARAMS16 and 2 with GRADS16, and 8
// more with AVERAGE. A workgroup does one chunk; the lanes take what is stored together in turn.
//
//   0 chunks   [n]                    work list
//   1 control                         stats and records are read
//   2 m        [state page]           16 bytes: 4 elements, 8 with BF16
//   3 v        [state page]           as m
//   4 params   [page]                 vec4; single floats with SINGLE_PARAMS; vec2 of four bf16 with PARAMS16
//   5 grads    [page]                 vec4; single floats, read-write, with SINGLE_GRADS (may share params' buffer); vec2 of
//                                     four bf16 with GRADS16
//   6 segment                         the chunks that lie in these pages, and the seed of the rounding
//   7 v_max    [state page]           as m; with AMSGRAD
//   7 average  [state page]           vec4; with AVERAGE, and 8 with AMSGRAD too
//
// Numerics: f32, each product and sum in the order above; the device may contract them. The parameter moves by the new
// moments before they are rounded to bf16, as in torch's fused kernel; a parameter in bf16 is rounded stochastically.
#import adamw
#import moments

override WORKGROUP: u32 = 256u;

// Moments as they are stored together.
struct Kept {
    m: Stored,
    v: Stored,
    v_max: Stored,             // with AMSGRAD
}

// One vec4 of the streams, from `first` elements into the chunk: quad k of what is kept. `live` elements from there on
// belong to the chunk.
fn update_quad(step: Step, first: u32, live: u32, kept: Kept, k: u32) -> Kept {
    let chunk = step.chunk;
    let p = params_at(chunk.param + first, live);
    let old = Quad(p, quad_of(kept.m, k), quad_of(kept.v, k), quad_of(kept.v_max, k));
    let next = stepped(step.record, step.value_bound, grads_at(step.record.grad + chunk.grad + first, live), old);
    put_params(chunk.param + first, live, p, next.p, rounding_words(step.key ^ OF_PARAMS, first));
#ifdef AVERAGE
    let a = (chunk.state + first) / 4u;
    average[a] = lerp(average[a], next.p, step.record.average_rate);
#endif
    return Kept(with_quad(kept.m, k, next.m), with_quad(kept.v, k, next.v), with_quad(kept.v_max, k, next.v_max));
}

// What is stored together, from `first` elements into the chunk. No loop over its quads: one costs a third of the step on
// software.
fn update(step: Step, first: u32, live: u32) {
    let s = (step.chunk.state + first) / (4u * STORED_QUADS);
    var kept = Kept();
    kept.m = m[s];
    kept.v = v[s];
#ifdef AMSGRAD
    kept.v_max = v_max[s];
#endif
    kept = update_quad(step, first, live, kept, 0u);
    if (STORED_QUADS == 2u && live > 4u) {
        kept = update_quad(step, first + 4u, live - 4u, kept, 1u);
    }
    m[s] = kept.m;
    v[s] = kept.v;
#ifdef AMSGRAD
    v_max[s] = kept.v_max;
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

// AdamW, third stage: every parameter group in one dispatch.
//
//   g <- scale · g                                      clip coefficient; clamped first where values are clipped
//   p <- p (1 - lr wd)                                  AdamW: decay first, by this step's lr
//   g <- g + wd p                                       Adam instead (COUPLED)
//   m <- m + (1 - beta1)(g - m)
//   v <- beta2 v + (1 - beta2) g²                       AMSGRAD: v_max <- max(v_max, v), used below in place of v
//   p <- p - lr / (1 - beta1^t) · m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//
// Loshchilov & Hutter 2019 (arXiv 1711.05101), with the order of operations of torch.optim.AdamW. The factors that hold
// for a whole tensor come from its record, which the control stage wrote; t counts the steps applied to that tensor.
// 28 bytes a parameter: p, g, m, v are read, p, m, v written. A workgroup does one chunk; the lanes take its vec4s in turn.
//
//   0 chunks   [n]                    work list
//   1 control                         stats and records are read
//   2 m        [state window]
//   3 v        [state window]
//   4 params   [window]               vec4; single floats with IN_PLACE
//   5 grads    [window]               vec4; single floats, read-write, with IN_PLACE (may share params' buffer)
//   6 segment                         the run of chunks that these windows hold
//   7 v_max    [state window]         with AMSGRAD
#import control
#import table
#import chunk
#import float

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<storage, read> chunks: array<Chunk>;
@group(0) @binding(1) var<storage, read> control: Control;
@group(0) @binding(2) var<storage, read_write> m: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> v: array<vec4<f32>>;
#ifdef IN_PLACE
@group(0) @binding(4) var<storage, read_write> params: array<f32>;
@group(0) @binding(5) var<storage, read_write> grads: array<f32>;
#else
@group(0) @binding(4) var<storage, read_write> params: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> grads: array<vec4<f32>>;
#endif
@group(0) @binding(6) var<uniform> segment: Segment;
#ifdef AMSGRAD
@group(0) @binding(7) var<storage, read_write> v_max: array<vec4<f32>>;
#endif

// One vec4 of the four streams, from `first` elements into the chunk; `live` of its elements belong to the chunk.
fn update(chunk: Chunk, record: Record, value_bound: f32, first: u32, live: u32) {
#ifdef IN_PLACE
    var p = vec4<f32>();
    var g = vec4<f32>();
    for (var k = 0u; k < min(live, 4u); k++) {
        p[k] = params[chunk.param + first + k];
        g[k] = grads[chunk.grad + first + k];
    }
#else
    let at = (chunk.param + first) / 4u;
    var p = params[at];
    var g = grads[(chunk.grad + first) / 4u];
#endif
    let old = p;
    let s = (chunk.state + first) / 4u;

    if (value_bound > 0.0) {
        g = clamp_value(g, value_bound);
    }
    g = record.scale * g;
    if (record.coupled_decay != 0.0) {
        g = g + record.coupled_decay * p;
    } else {
        p = p * record.decay;
    }
    let m_old = m[s];
    let m_new = m_old + record.one_minus_beta1 * (g - m_old);
    let v_new = record.beta2 * v[s] + (record.one_minus_beta2 * g) * g;   // g² alone may overflow where this does not
    m[s] = m_new;
    v[s] = v_new;
    var root = v_new;
#ifdef AMSGRAD
    if ((record.flags & AMSGRAD) != 0u) {
        root = select(max(v_max[s], v_new), v_new, are_nan(v_new));    // a NaN stays, as in torch.maximum
        v_max[s] = root;
    }
#endif
    p = p - record.step_size * (m_new / (sqrt(root) * record.root_scale + record.eps));

#ifdef IN_PLACE
    for (var k = 0u; k < min(live, 4u); k++) {
        params[chunk.param + first + k] = p[k];
    }
#else
    if (live < 4u) {    // what lies behind the tensor's end stays as it was
        p = select(old, p, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(live));
    }
    params[at] = p;
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
    let chunk = chunks[segment.first + place];
    let record = control.records[chunk.tensor];
    let value_bound = control.stats.value_bound;
    for (var i = lane * 4u; i < chunk.length; i += WORKGROUP * 4u) {
        update(chunk, record, value_bound, i, chunk.length - i);
    }
}

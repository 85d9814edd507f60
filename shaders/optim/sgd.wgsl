// SGD, third stage: every parameter group in one dispatch.
//
//   g <- scale · g                                      clip coefficient; clamped first where values are clipped
//   g <- g + wd p
//   b <- g at the buffer's first gradient, later momentum b + (1 - dampening) g
//   p <- p - lr b                                       NESTEROV: p <- p - lr (g + momentum b)
//   a <- a + (1 - decay)(p - a)                         AVERAGE: the moving average of the parameters
//
// With momentum 0 the buffer stays as it is and p <- p - lr g. Polyak 1964, Nesterov 1983, with the order of operations of
// torch.optim.SGD. The factors that hold for a whole tensor come from its record, which the control stage wrote.
// 20 bytes a parameter: p, g, b are read, p, b written; 8 more with AVERAGE. A workgroup does one chunk; the lanes take its vec4s in turn.
//
//   0 chunks   [n]                    work list
//   1 control                         stats and records are read
//   2 buffers  [state page]  
//   3 params   [page]                 vec4; single floats with SINGLE_PARAMS
//   4 grads    [page]                 vec4; single floats, read-write, with SINGLE_GRADS (may share params' buffer)
//   5 segment                         the chunks that lie in these pages
//   6 average  [state page]           vec4; with AVERAGE
//
// Numerics: f32, each product and sum in the order above; the device may contract them.
#import control
#import table
#import chunk
#import float
const PARAMS_BINDING: u32 = 3u;
const GRADS_BINDING: u32 = 4u;
#import streams

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<storage, read> chunks: array<Chunk>;
@group(0) @binding(1) var<storage, read> control: Control;
@group(0) @binding(2) var<storage, read_write> buffers: array<vec4<f32>>;
@group(0) @binding(5) var<uniform> segment: Segment;
#ifdef AVERAGE
@group(0) @binding(6) var<storage, read_write> average: array<vec4<f32>>;
#endif

// What the parameter moves along: the gradient, or the buffer at `s`, which takes the gradient first.
fn direction(record: Record, g: vec4<f32>, s: u32) -> vec4<f32> {
    if (record.momentum == 0.0) {
        return g;
    }
    var b = g;
    if (record.buffered > 1u) {
        b = record.momentum * buffers[s] + record.one_minus_dampening * g;
    }
    buffers[s] = b;
    if ((record.flags & NESTEROV) != 0u) {
        return g + record.momentum * b;
    }
    return b;
}

// One vec4 of the three streams, from `first` elements into the chunk; `live` of its elements belong to the chunk.
fn update(chunk: Chunk, record: Record, value_bound: f32, first: u32, live: u32) {
    let old = params_at(chunk.param + first, live);
    var p = old;
    var g = grads_at(record.grad + chunk.grad + first, live);

    if (value_bound > 0.0) {
        g = clamp_value(g, value_bound);
    }
    g = record.scale * g;
    if (record.coupled_decay != 0.0) {
        g = g + record.coupled_decay * p;
    }
    let s = (chunk.state + first) / 4u;
    p = p - record.step_size * direction(record, g, s);
#ifdef AVERAGE
    average[s] = lerp(average[s], p, record.average_rate);
#endif

    put_params(chunk.param + first, live, old, p, vec4<u32>());
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

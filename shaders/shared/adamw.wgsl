// What the kernels of AdamW share: their bindings and the step of four elements. How moments are stored, the alias Stored, is
// the kernel's own import.
#import control
#import table
#import chunk
#import float
#import rounding
const PARAMS_BINDING: u32 = 4u;
const GRADS_BINDING: u32 = 5u;
#ifdef PARAMS16
#import streams16
#else
#import streams
#endif

@group(0) @binding(0) var<storage, read> chunks: array<Chunk>;
@group(0) @binding(1) var<storage, read> control: Control;
@group(0) @binding(2) var<storage, read_write> m: array<Stored>;
@group(0) @binding(3) var<storage, read_write> v: array<Stored>;
@group(0) @binding(6) var<uniform> segment: Segment;
#ifdef AMSGRAD
@group(0) @binding(7) var<storage, read_write> v_max: array<Stored>;
const AVERAGE_BINDING: u32 = 8u;
#else
const AVERAGE_BINDING: u32 = 7u;
#endif
#ifdef AVERAGE
@group(0) @binding(AVERAGE_BINDING) var<storage, read_write> average: array<vec4<f32>>;
#endif

// Four parameters and their moments.
struct Quad {
    p: vec4<f32>,
    m: vec4<f32>,
    v: vec4<f32>,
    v_max: vec4<f32>,          // with AMSGRAD
}

fn stepped(record: Record, value_bound: f32, gradient: vec4<f32>, old: Quad) -> Quad {
    var g = gradient;
    if (value_bound > 0.0) {
        g = clamp_value(g, value_bound);
    }
    g = record.scale * g;
    var next = old;
    if (record.coupled_decay != 0.0) {
        g = g + record.coupled_decay * old.p;
    } else {
        next.p = old.p * record.decay;
    }
    next.m = old.m + record.one_minus_beta1 * (g - old.m);
    next.v = record.beta2 * old.v + (record.one_minus_beta2 * g) * g;   // g² alone may overflow where this does not
    var root = next.v;
#ifdef AMSGRAD
    if ((record.flags & AMSGRAD) != 0u) {
        root = larger_each(old.v_max, next.v);    // neither is below 0
        next.v_max = root;
    }
#endif
    next.p = next.p - record.step_size * (next.m / (sqrt(root) * record.root_scale + record.eps));
    return next;
}

// What a chunk's elements have in common.
struct Step {
    chunk: Chunk,
    record: Record,
    value_bound: f32,
    key: u32,                  // of stochastic rounding
}

fn step_of(chunk: Chunk) -> Step {
    let record = control.records[chunk.tensor];
    let key = rounding_key(segment.seed, chunk.tensor, record.count, chunk.number);
    return Step(chunk, record, control.stats.value_bound, key);
}

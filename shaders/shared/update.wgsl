// What the kernels of the update share: their bindings, and what is the same for every rule. The rule is imported: how many
// slots of state it has (SLOT1, SLOT2, SLOT3 for a second, third and fourth), what it prepares once a chunk (`prepared`), and
// its arithmetic (`stepped`); of a rule that needs sums over a tensor, what they add up (`terms`), and of one that needs sums over
// rows (ROWS), what those do (`row_terms`); FACTORED is a rule whose state of a matrix is its rows and columns. How state is stored, the alias Stored, is the kernel's own import.
#import control
#import table
#import chunk
#import float
#import rounding
#import state
#ifdef SLOT1
const PARAMS_BINDING: u32 = 4u;
#else
const PARAMS_BINDING: u32 = 3u;
#endif
const GRADS_BINDING: u32 = PARAMS_BINDING + 1u;
const SEGMENT_BINDING: u32 = PARAMS_BINDING + 2u;
#ifdef PARAMS16
#import streams16
#else
#import streams
#endif

@group(0) @binding(0) var<storage, read> chunks: array<Chunk>;
@group(0) @binding(1) var<storage, read> control: Control;
@group(0) @binding(2) var<storage, read_write> slot0: array<Stored>;
#ifdef SLOT1
@group(0) @binding(3) var<storage, read_write> slot1: array<Stored>;
#endif
@group(0) @binding(SEGMENT_BINDING) var<uniform> segment: Segment;
#ifdef SLOT2
@group(0) @binding(7) var<storage, read_write> slot2: array<Stored>;
#endif
#ifdef SLOT3
@group(0) @binding(8) var<storage, read_write> slot3: array<Stored>;
#endif
#ifdef ROWS
#import matrix
@group(0) @binding(SEGMENT_BINDING + 1u) var<storage, read> matrices: array<Matrix>;
#endif
#ifdef FACTORED
#import factors
@group(0) @binding(SEGMENT_BINDING + 1u) var<storage, read> factors: array<Factors>;
const AVERAGE_BINDING: u32 = SLOTS + 7u;
#else
const AVERAGE_BINDING: u32 = SLOTS + 5u;
#endif
#ifdef AVERAGE
@group(0) @binding(AVERAGE_BINDING) var<storage, read_write> average: array<vec4<f32>>;
#endif

// Gradient and parameter as a rule finds them: clipped, decayed.
struct Met {
    g: vec4<f32>,
    p: vec4<f32>,
}

#import rule

fn met(record: Record, value_bound: f32, gradient: vec4<f32>, p: vec4<f32>) -> Met {
    var next = Met(gradient, p);
    if (value_bound > 0.0) {
        next.g = clamp_value(gradient, value_bound);
    }
    next.g = record.scale * next.g;
    if (record.coupled_decay != 0.0) {
        next.g = next.g + record.coupled_decay * p;
    } else {
        next.p = p * record.decay;
    }
    return next;
}

fn updated(record: Record, value_bound: f32, gradient: vec4<f32>, old: Quad) -> Quad {
    let now = met(record, value_bound, gradient, old.p);
    var next = old;
    next.p = now.p;
    return stepped(record, now.g, next);
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
    return Step(chunk, prepared(record), control.stats.value_bound, key);
}

#ifdef FACTORED
// Four gradients of a chunk from `first` elements into it, as a rule finds them.
fn gradients(step: Step, first: u32, live: u32) -> vec4<f32> {
    var g = grads_at(step.record.grad + step.chunk.grad + first, live);
    if (step.value_bound > 0.0) {
        g = clamp_value(g, step.value_bound);
    }
    return step.record.scale * g;
}
#endif

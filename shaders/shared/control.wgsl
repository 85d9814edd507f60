// The control block: what the three stages of a step (norm, control, update) tell each other.

const PARTIALS: u32 = 1024u;
const NO_GROUP: u32 = 0xffffffffu;

struct StatsBlock {                 // 64 bytes, read back by the host
    loss_scale: f32,           // of the gradients to come; 0: there is none. The first word: losses bind it alone
    growth_tracker: u32,       // steps in a row since the loss scale changed
    step: u32,                 // the schedule's step, skipped ones included
    applied: u32,              // steps applied so far
    skipped: u32,              // steps skipped so far
    skip: u32,                 // 1: this step changes nothing
    bad_group: u32,            // first group with a non-finite gradient in the latest step that had one
    nonfinite_norms: u32,      // steps whose norm was not finite while that is an error
    norm: f32,                 // total norm of this step's gradients
    clip: f32,                 // what the gradients are multiplied by
    value_bound: f32,          // gradients are clamped to +-bound; 0: they are not
    bad_norm_step: u32,        // step of the latest of nonfinite_norms
    bad_norm: f32,             // and its norm
    lost_rows: u32,            // indices of resizes that were past the rows
    skips_in_a_row: u32,       // steps skipped since one was applied
    pad0: u32,
}

struct Partial {
    sum: f32,                  // of |g|, of g², or the largest |g|
    bad_group: u32,            // first group with a non-finite gradient, or NO_GROUP
}

struct Record {                // 96 bytes, one a tensor
    count: u32,                // steps applied to this tensor
    flags: u32,
    scale: f32,                // clip coefficient over the loss scale, negated to maximize
    decay: f32,                // factor on the parameter
    coupled_decay: f32,        // added to the gradient, times the parameter (Adam, SGD)
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    step_size: f32,            // lr / (1 - beta1^count)
    root_scale: f32,           // 1 / sqrt(1 - beta2^count)
    eps: f32,
    momentum: f32,
    one_minus_dampening: f32,
    buffered: u32,             // gradients that the momentum buffer has taken; 1: this step's is its first
    averaged: u32,             // steps that the moving average has taken
    average_rate: f32,         // 1 - decay of the average; 1 at its first step, and 0 if there is none
    grad: u32,                 // where the gradient begins in its page, in elements
    lr: f32,
    own0: f32,                 // the rule's own numbers, as the row has them
    own1: f32,
    carried: f32,              // from step to step: the product of the momenta so far where these rise (RISING), the sum
                               // of the weights of the average so far where steps have weights (WEIGHTED)
    peak: f32,                 // the largest lr so far, where steps have weights
    sum_a: f32,                // over the tensor, where its rule needs sums
    sum_b: f32,
}

struct Control {
    stats: StatsBlock,
    partials: array<Partial, PARTIALS>,
    records: array<Record>,
}

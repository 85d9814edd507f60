// The table: one row of hyper-parameters for each step and group, written by the host once for a whole horizon.

struct TableRow {                   // 60 bytes
    lr: f32,
    decay: f32,                // 1 - lr * weight_decay, formed in f64; with COUPLED weight_decay itself
    one_minus_beta1: f32,      // formed in f64: 1 - b in f32 is already 1.3e-5 off for b = 0.999
    log_beta1: f32,            // ln beta1; SGD's betas are 0: no bias correction
    beta2: f32,
    one_minus_beta2: f32,
    log_beta2: f32,
    eps: f32,
    momentum: f32,
    one_minus_dampening: f32,
    flags: u32,                // AMSGRAD | MAXIMIZE | COUPLED | ... as below
    max_norm: f32,             // gradients are clipped to this; the same in all rows of a step
    average_rate: f32,         // 1 - decay of the moving average, formed in f64
    own0: f32,                 // numbers that the rule alone reads
    own1: f32,
}

struct Table {
    first_step: u32,           // step of slot 0
    steps: u32,                // rows a group; 0: one row a group, which holds for every step
    pad0: u32,
    pad1: u32,
    rows: array<TableRow>,     // [groups, steps]: a group's rows lie together, so that they change without the others
}

// The place of a group's row at a slot.
fn row_at(steps: u32, group: u32, slot: u32) -> u32 {
    return select(group * steps + slot, group, steps == 0u);
}

const AMSGRAD: u32 = 1u;
const MAXIMIZE: u32 = 2u;
const COUPLED: u32 = 4u;       // Adam, SGD: decay joins the gradient; otherwise AdamW: decay acts on the parameter
const NESTEROV: u32 = 8u;      // SGD: step along the gradient plus momentum times the buffer
const AVERAGED: u32 = 16u;     // there is a moving average of the parameters
const RISING: u32 = 32u;       // NAdam: the momentum rises with the count; own0 is momentum_decay ln 0.96
const CENTERED: u32 = 64u;     // RMSprop: the variance stands in the second moment's place
const ADAPTED: u32 = 128u;     // LAMB, LARS: the step is as long as the trust ratio says
const TRUST_CLIPPED: u32 = 256u;    // and that is 1 at most
const WEIGHTED: u32 = 512u;    // Schedule-Free: steps have weights in the average, by own0 and own1

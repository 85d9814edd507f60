// What gathers and kernels that read their batches agree on.

const IGNORED: u32 = 0xffffffffu;  // a target or a label that the loss leaves out
const TYPE_SHIFT: u32 = 28u;       // a resident token word: token | type << 28

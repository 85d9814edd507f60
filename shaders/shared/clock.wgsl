// The place of a step inside the horizon. The host picks a slot by a dynamic offset; slot k holds k.

struct Clock {
    slot: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

// How much a kernel works on that takes vec4s one by one.
struct Elements {
    quads: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

// What the three passes of a linear layer share: sizes, and a row of the weight by vec4.
//
// Activations are stored with rows of whole vec4s, zero after the last column. Weights are stored as they are named in
// checkpoints, [outputs, inputs] without padding, so a row starts at a vec4 only where inputs is a multiple of 4; the
// RAGGED variant reads and writes them one by one.

#import quad

struct Linear {                // 32 bytes
    rows: u32,                 // batch
    inputs: u32,
    outputs: u32,
    input_quads: u32,          // vec4s in a row of x
    output_quads: u32,         // vec4s in a row of z
    zero: u32,                 // 0, see float.wgsl
    pad1: u32,
    pad2: u32,
}

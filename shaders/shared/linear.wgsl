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

// Rotates the columns of a tile's sums by one place; after four turns all are back.
//
// Kernels with sums in registers store them column by column, in loops that begin at shape.zero, which a compiler
// cannot know. So no compiler unrolls them 16 times: a driver on a processor compiles each load and store again, and
// took longer for these than for the products. The columns rotate, since a variable index would move them to memory.
fn turned(sums: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(sums[1], sums[2], sums[3], sums[0]);
}

// What the three passes of a linear layer share: sizes, and where outputs are. The importing shader declares
// `shape: Linear`.
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
    plane: u32,                // vec4s from one plane of z to the next, with PLANES
    pad0: u32,
}

// Layers of one x may be taken side by side, as many as there are PLANES (at most 3): their outputs are counted through.
// Each has a plane of z, and its own weight and bias at equal distances; outputs and inputs are whole vec4s then.
override PLANES: u32 = 1u;
override GAP: u32 = 0u;        // vec4s between the weight of a plane and the next one's
override BIAS_GAP: u32 = 0u;   // the same of biases

// Of all planes.
fn all_outputs() -> u32 {
    return PLANES * shape.outputs;
}

fn all_output_quads() -> u32 {
    return PLANES * shape.output_quads;
}

// The plane of a quad of outputs.
fn plane_of(q: u32) -> u32 {
    if (PLANES == 1u) {
        return 0u;
    }
    return u32(q >= shape.output_quads) + u32(q >= 2u * shape.output_quads);
}

// The place of a quad of outputs of row r in z and its gradient.
fn output_at(r: u32, q: u32) -> u32 {
    let plane = plane_of(q);
    return r * shape.output_quads + q + plane * (shape.plane - shape.output_quads);
}

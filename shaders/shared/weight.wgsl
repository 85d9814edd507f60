// A linear layer's weight, [outputs, inputs] as in checkpoints: vec4s of f32, or of bf16 with WEIGHT16; single floats
// with RAGGED, if a row does not start at a vec4. The importing shader declares `shape: Linear`.
#ifdef WEIGHT16
#import bf16

@group(0) @binding(1) var<storage, read> weight: array<vec2<u32>>;
#else
#ifdef RAGGED
@group(0) @binding(1) var<storage, read> weight: array<f32>;
#else
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
#endif
#endif

// Inputs 4q .. 4q + 3 of output o's weights; of the last output where o is past it.
fn weight_at(o: u32, q: u32) -> vec4<f32> {
    let row = min(o, all_outputs() - 1u);
    let at = row * shape.input_quads + q + plane_of(row / 4u) * GAP;
#ifdef WEIGHT16
    return widened(weight[at]);
#else
#ifdef RAGGED
    var quad = vec4<f32>();
    for (var k = 0u; k < min(4u, shape.inputs - 4u * q); k++) {
        quad[k] = weight[row * shape.inputs + 4u * q + k];
    }
    return quad;
#else
    return weight[at];
#endif
#endif
}

// A vision transformer's embeddings: learnt tokens in front of the patches of each picture, and a position added to every row.
//
//   y[b, t] = token_t + positions[t]                         t < tokens
//   y[b, tokens + p] = x[b, p] + positions[tokens + p]
//
// Tokens and positions are stored as they are named in checkpoints, without padding, and read one by one.
//
//   0 x          [batch · patches, quads]             vec4, zero after the last column
//   1 first      [width]                              the class token
//   2 second     [width]                              the distillation token; anything if there is none
//   3 positions  [tokens + patches, width]
//   4 y          [batch · (tokens + patches), quads]  vec4, zero after the last column
//   5 shape
#import prefix_tokens
#import values

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read> first: array<f32>;
@group(0) @binding(2) var<storage, read> second: array<f32>;
@group(0) @binding(3) var<storage, read> positions: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Stored>;
@group(0) @binding(5) var<uniform> shape: PrefixTokens;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    let rows = shape.tokens + shape.patches;
    let b = at / shape.quads / rows;
    let r = at / shape.quads % rows;
    let q = at % shape.quads;
    if (b >= shape.batch) {
        return;
    }
    var value = vec4<f32>();
    if (r >= shape.tokens) {
        value = wide(x[(b * shape.patches + r - shape.tokens) * shape.quads + q]);
    }
    for (var k = 0u; k < min(4u, shape.width - 4u * q); k++) {
        let c = 4u * q + k;
        if (r >= shape.tokens) {
            value[k] += positions[r * shape.width + c];
        } else if (r == 0u) {
            value[k] = first[c] + positions[c];
        } else {
            value[k] = second[c] + positions[shape.width + c];
        }
    }
    y[at] = narrow(value);
}

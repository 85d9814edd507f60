// A vision transformer's embeddings, backward to the positions and to the tokens in front.
//
//   dpositions[r] = sum_b dy[b, r]         dtoken_t = the same sum at r = t, t < tokens
//
// An invocation makes a vec4 of a row, and adds up the pictures of the batch in their order. The first micro-batch of a step
// overwrites, later ones add (ACCUMULATE = 1); what is frozen (FIRST = 0, SECOND = 0, POSITIONS = 0) is not written, and any
// range may be bound for it.
//
//   0 dy          [batch · (tokens + patches), quads]   vec4, zero after the last column
//   1 dfirst      [width]
//   2 dsecond     [width]
//   3 dpositions  [tokens + patches, width]
//   4 shape
#import prefix_tokens
#import values

override WORKGROUP: u32 = 64u;
override ACCUMULATE: u32 = 0u;
override FIRST: u32 = 1u;
override SECOND: u32 = 1u;
override POSITIONS: u32 = 1u;

@group(0) @binding(0) var<storage, read> dy: array<Stored>;
@group(0) @binding(1) var<storage, read_write> dfirst: array<f32>;
@group(0) @binding(2) var<storage, read_write> dsecond: array<f32>;
@group(0) @binding(3) var<storage, read_write> dpositions: array<f32>;
@group(0) @binding(4) var<uniform> shape: PrefixTokens;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    let r = at / shape.quads;
    let q = at % shape.quads;
    let rows = shape.tokens + shape.patches;
    if (r >= rows) {
        return;
    }
    var sum = vec4<f32>();
    for (var b = 0u; b < shape.batch; b++) {
        sum += wide(dy[(b * rows + r) * shape.quads + q]);
    }
    for (var k = 0u; k < min(4u, shape.width - 4u * q); k++) {
        let c = 4u * q + k;
        let place = r * shape.width + c;
        if (POSITIONS != 0u) {
            dpositions[place] = sum[k] + select(0.0, dpositions[place], ACCUMULATE != 0u);
        }
        if (FIRST != 0u && r == 0u) {
            dfirst[c] = sum[k] + select(0.0, dfirst[c], ACCUMULATE != 0u);
        }
        if (SECOND != 0u && r == 1u) {
            dsecond[c] = sum[k] + select(0.0, dsecond[c], ACCUMULATE != 0u);
        }
    }
}

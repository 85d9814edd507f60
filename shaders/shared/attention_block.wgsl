// The block of attention scores that a workgroup makes: 32 queries by 32 keys by 8 by 8 invocations, 4 by 4 each.
//
// The importing shader declares what attention_tile needs. Scores, or values computed from them, go through workgroup
// memory as matrices, a column for each query and a row for each key; then each invocation makes results of 4 tokens,
// every eighth vec4 of a head. So there are 8 times as many invocations as tokens, for any size of a head.
#import attention_tile

// Invocations along a side of the block, which are a workgroup's 64; and tokens.
const SIDE: u32 = 8u;
const BLOCK: u32 = 32u;

// [queries][keys] by fours: what invocations tell each other of 4 queries.
var<workgroup> shares: array<vec4<f32>, SIDE * SIDE>;

// The first of a workgroup's tokens.
fn block_of(group: vec3<u32>, grid: vec3<u32>) -> Place {
    let index = group.y * grid.x + group.x;
    let blocks = (shape.context + BLOCK - 1u) / BLOCK;
    let head = index / blocks;
    return Place(head, head / shape.heads, head % shape.heads, index % blocks * BLOCK);
}

// Four queries against four keys, before the scale.
fn score_of(place: Place, t: u32, j: u32) -> mat4x4<f32> {
    let queries = part_of(shape.query, place, t);
    let keys = part_of(shape.key, place, j);
    var score = mat4x4<f32>();
    for (var d = 0u; d < shape.head_quads; d++) {
        score += transpose(qkv_at(keys, d)) * qkv_at(queries, d);
    }
    return score;
}

// The sum over the invocations of the same 4 queries, in their order.
fn total_of_block(lane: u32, own: vec4<f32>) -> vec4<f32> {
    shares[lane] = own;
    workgroupBarrier();
    var all = vec4<f32>();
    for (var i = 0u; i < SIDE; i++) {
        all += shares[lane / SIDE * SIDE + i];
    }
    workgroupBarrier();
    return all;
}

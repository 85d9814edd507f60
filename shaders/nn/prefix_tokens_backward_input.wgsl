// A vision transformer's embeddings, backward to the patches.
//
//   dx[b, p] = dy[b, tokens + p]
//
//   0 dy       [batch · (tokens + patches), quads]   vec4
//   1 dx       [batch · patches, quads]              vec4
//   2 shape
#import prefix_tokens
#import values

override WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<storage, read> dy: array<Stored>;
@group(0) @binding(1) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(2) var<uniform> shape: PrefixTokens;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let at = id.y * grid.x * WORKGROUP + id.x;
    let picture = shape.patches * shape.quads;
    let b = at / picture;
    if (b >= shape.batch) {
        return;
    }
    dx[at] = dy[at + (b + 1u) * shape.tokens * shape.quads];
}

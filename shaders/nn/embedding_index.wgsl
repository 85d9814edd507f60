// Chains the rows of a batch that name the same entry, so that backward adds them up in a fixed order without atomics.
//
//   previous[r] = the nearest row before r with r's token, or NONE          last[token] = the last row with it
//
// An entry of last for a token that the batch does not name is old: the row in it has another token (Briggs & Torczon
// 1993, "An Efficient Representation for Sparse Sets"). So nothing is cleared, and other entries cost nothing. Rows
// with the same token are close, so that most searches are short; the longest is the batch.
//
//   0 tokens   [rows]
//   1 previous [rows]
//   2 last     [entries]
//   3 shape
#import embedding

override WORKGROUP: u32 = 64u;

const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<storage, read> tokens: array<u32>;
@group(0) @binding(1) var<storage, read_write> previous: array<u32>;
@group(0) @binding(2) var<storage, read_write> last: array<u32>;
@group(0) @binding(3) var<uniform> shape: Embedding;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let r = id.y * grid.x * WORKGROUP + id.x;
    if (r >= shape.rows) {
        return;
    }
    let token = tokens[r];
    var before = r;
    while (before > 0u && tokens[before - 1u] != token) {
        before--;
    }
    previous[r] = select(NONE, before - 1u, before > 0u);
    var after = r + 1u;
    while (after < shape.rows && tokens[after] != token) {
        after++;
    }
    if (after == shape.rows) {
        last[min(token, shape.entries - 1u)] = r;
    }
}

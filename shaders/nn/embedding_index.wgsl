// Who names what: chains the rows of a batch that name one entry, so that backward adds them up in a fixed order without
// an atomic.
//
//   previous[r] = the nearest row before r with r's token, or NONE          last[token] = the last row with it
//
// What stands in last for a token that the batch does not name is old, and is known by that: the row it names has another
// token (Briggs & Torczon 1993, "An Efficient Representation for Sparse Sets"). So nothing is ever cleared, and an entry
// that is not named costs nothing. The rows with a common token lie close, so that most searches are short; at worst one
// is as long as the batch.
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

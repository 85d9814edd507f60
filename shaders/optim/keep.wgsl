// Copies spans of a page where an evaluation was the best, or with KNOWN where any was: what a copy command cannot ask.
//
//   copy[i] = source[i]
//
// A workgroup copies a span. To the bit.
//
//   0 standing
//   1 spans    [n]
//   2 source   [page]                 vec4
//   3 copies   [page]                 vec4
#import standing

override WORKGROUP: u32 = 256u;
override KNOWN: u32 = 0u;

@group(0) @binding(0) var<storage, read> standing: Standing;
@group(0) @binding(1) var<storage, read> spans: array<Span>;
@group(0) @binding(2) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> copies: array<vec4<u32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = workgroup.y * grid.x + workgroup.x;
    if (place >= arrayLength(&spans)) {
        return;
    }
    var is_wanted = standing.best;
    if (KNOWN == 1u) {
        is_wanted = standing.known;
    }
    if (is_wanted == 0u) {
        return;
    }
    let span = spans[place];
    for (var i = lane; i < span.quads; i += WORKGROUP) {
        copies[span.copy + i] = source[span.source + i];
    }
}

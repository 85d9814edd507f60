// Swaps parameters and their moving average, for an evaluation of the average; a second time puts both back.
//
//   p, a <- a, p                      where the average has taken a step; a tensor without one stays as it is
//
// 16 bytes a parameter: both are read and written. To the bit.
//
//   0 chunks   [n]                    work list
//   1 control                         records are read: averaged
//   2 params   [page]                 vec4; single floats with SINGLE_PARAMS
//   3 average  [state page]           vec4
//   4 segment                         the chunks that lie in these pages
#import control
#import chunk

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<storage, read> chunks: array<Chunk>;
@group(0) @binding(1) var<storage, read> control: Control;
#ifdef SINGLE_PARAMS
@group(0) @binding(2) var<storage, read_write> params: array<f32>;
#else
@group(0) @binding(2) var<storage, read_write> params: array<vec4<f32>>;
#endif
@group(0) @binding(3) var<storage, read_write> average: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> segment: Segment;

// One vec4, from `first` elements into the chunk; `live` of its elements belong to the chunk.
fn swap(chunk: Chunk, first: u32, live: u32) {
    let s = (chunk.state + first) / 4u;
    let a = average[s];
#ifdef SINGLE_PARAMS
    for (var k = 0u; k < min(live, 4u); k++) {
        average[s][k] = params[chunk.param + first + k];
        params[chunk.param + first + k] = a[k];
    }
#else
    let at = (chunk.param + first) / 4u;
    let p = params[at];
    // What lies behind the tensor's end stays as it was.
    params[at] = select(p, a, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(live));
    average[s] = p;
#endif
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = workgroup.y * grid.x + workgroup.x;
    if (place >= segment.count) {
        return;
    }
    let chunk = chunks[segment.first + place];
    if (control.records[chunk.tensor].averaged == 0u) {
        return;
    }
    for (var i = lane * 4u; i < chunk.length; i += WORKGROUP * 4u) {
        swap(chunk, i, chunk.length - i);
    }
}

// Sums of the squares of each row's gradients, of the part that each chunk has: the first of what a rule keeps of a matrix.
//
//   sum = sum of g²                                     g as the update will find it
//
// A chunk is a workgroup's. Where it has as many rows as there are lanes a lane takes a row, else all lanes take each row in
// turn and reduce it by a fixed tree. Vectors have no rows.
//
//   0 - g                             as in update.wgsl, up to the segment
//   . factors  [tensors]              of each tensor in the list
//   . sums     [chunks + rows]        see Factors
#import update
#import moments

override WORKGROUP: u32 = 256u;

@group(0) @binding(SEGMENT_BINDING + 2u) var<storage, read_write> sums: array<f32>;

var<workgroup> parts: array<f32, WORKGROUP>;

// Of a vec4 of gradients, from `first` elements into the chunk: of those from `begin` up to `end`.
fn squares(step: Step, first: u32, begin: u32, end: u32) -> f32 {
    let g = gradients(step, first, step.chunk.length - first);
    let element = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    let is_own = (element >= vec4<u32>(begin)) & (element < vec4<u32>(end));
    return dot(select(vec4<f32>(), g * g, is_own), vec4<f32>(1.0));
}

// Of the chunk's elements from `begin` up to `end`: of a vec4 every `stride` elements, from `first` on.
fn part_of_row(step: Step, begin: u32, end: u32, first: u32, stride: u32) -> f32 {
    var sum = 0.0;
    for (var i = begin / 4u * 4u + first; i < end; i += stride) {
        sum += squares(step, i, begin, end);
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = workgroup.y * grid.x + workgroup.x;
    if (control.stats.skip != 0u || place >= segment.count) {
        return;
    }
    let step = step_of(chunks[segment.first + place]);
    let own = factors[step.chunk.entry];
    if (own.columns == 0u) {
        return;
    }
    let start = step.chunk.number * own.chunk;
    let first = start / own.columns;
    let last = (start + step.chunk.length - 1u) / own.columns;
    let out = own.row_sums + step.chunk.number;
    if (last - first + 1u >= WORKGROUP) {
        for (var row = first + lane; row <= last; row += WORKGROUP) {
            let begin = max(row * own.columns, start) - start;
            let end = min((row + 1u) * own.columns - start, step.chunk.length);
            sums[out + row] = part_of_row(step, begin, end, 0u, 4u);
        }
        return;
    }
    for (var row = first; row <= last; row++) {
        let begin = max(row * own.columns, start) - start;
        let end = min((row + 1u) * own.columns - start, step.chunk.length);
        parts[lane] = part_of_row(step, begin, end, lane * 4u, WORKGROUP * 4u);
        workgroupBarrier();
        for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
            if (lane < width) {
                parts[lane] += parts[lane + width];
            }
            workgroupBarrier();
        }
        if (lane == 0u) {
            sums[out + row] = parts[0];
        }
        workgroupBarrier();
    }
}

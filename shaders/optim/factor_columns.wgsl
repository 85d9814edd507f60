// Sums of the squares of each column's gradients, of the part that each band has: the second of what a rule keeps of a matrix.
//
//   sum = sum of g²                                     g as the update will find it
//
// A lane takes four columns of a matrix, or one where columns do not come in fours, row after row in their order. A band that
// lies in two pages is continued by the second dispatch, so that no bit depends on paging.
//
//   0 - g                             as in update.wgsl, up to the segment, which counts bands
//   . factors  [tensors]              of each tensor in the list
//   . bands    [n]                    see Band
//   . sums     [(bands + matrices) columns]    see Factors
#import update
#import moments

override WORKGROUP: u32 = 256u;

@group(0) @binding(SEGMENT_BINDING + 2u) var<storage, read> bands: array<Band>;
@group(0) @binding(SEGMENT_BINDING + 3u) var<storage, read_write> sums: array<f32>;

// The first row of a column whose first element is at `top` that does not lie before this element.
fn row_from(top: u32, columns: u32, element: u32) -> u32 {
    return select((element - top + columns - 1u) / columns, 0u, element <= top);
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
    let band = bands[segment.first + place];
    let step = step_of(chunks[band.chunk]);
    let own = factors[step.chunk.entry];
    let start = step.chunk.number * own.chunk;
    let end = start + band.length;
    let first = start / (own.rows * own.columns);
    let matrices = (end - 1u) / (own.rows * own.columns) - first + 1u;
    let is_in_fours = own.columns % 4u == 0u;
    let width = select(1u, 4u, is_in_fours);
    let across = band.columns / width;
    for (var line = lane; line < matrices * across; line += WORKGROUP) {
        let matrix = first + line / across;
        let column = band.column + line % across * width;
        let top = matrix * own.rows * own.columns + column;
        let from_row = row_from(top, own.columns, start);
        let to_row = min(row_from(top, own.columns, end), own.rows);
        let out = own.column_sums + (band.number + matrix) * own.columns + column;
        let is_continued = row_from(top, own.columns, band.begin) < from_row;
        var sum = vec4<f32>();
        if (is_continued) {
            sum.x = sums[out];
            if (is_in_fours) {
                sum = vec4<f32>(sum.x, sums[out + 1u], sums[out + 2u], sums[out + 3u]);
            }
        }
        for (var row = from_row; row < to_row; row++) {
            let i = top + row * own.columns - start;
            let quad = gradients(step, i / 4u * 4u, band.length - i / 4u * 4u);
            let g = select(vec4<f32>(quad[i % 4u], 0.0, 0.0, 0.0), quad, is_in_fours);
            sum += g * g;
        }
        sums[out] = sum.x;
        if (is_in_fours) {
            sums[out + 1u] = sum.y;
            sums[out + 2u] = sum.z;
            sums[out + 3u] = sum.w;
        }
    }
}

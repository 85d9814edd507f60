// Adds up the sums of each matrix's rows, and writes the share that each row has in the update. A workgroup does one matrix,
// by a fixed tree.
//
//   share = `share` of the row's sums                   where every row is `is_across`
//           `share` of the whole matrix's sums          where that is
//           0                                           elsewhere
//
// A matrix with shares has a sum_a of 1 in its record.
//
//   0 matrices [tensors]              of each tensor in the list
//   1 sums     [chunks + rows]        see Matrix
//   2 shares   [rows]                 of each row of each matrix
//   3 control                         records are read and written
//   4 segment                         how many tensors there are
#import control
#import table
#import chunk
#import matrix
#import state
#import rule

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<storage, read> matrices: array<Matrix>;
@group(0) @binding(1) var<storage, read> sums: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> shares: array<f32>;
@group(0) @binding(3) var<storage, read_write> control: Control;
@group(0) @binding(4) var<uniform> segment: Segment;

var<workgroup> parts: array<vec4<f32>, WORKGROUP>;
var<workgroup> across: array<u32, WORKGROUP>;

// The sums of a row, of the chunks that it has a part in.
fn row_sum(matrix: Matrix, row: u32) -> vec4<f32> {
    let last = ((row + 1u) * matrix.columns - 1u) / matrix.chunk;
    var sum = vec4<f32>();
    for (var number = row * matrix.columns / matrix.chunk; number <= last; number++) {
        sum += sums[matrix.sums + number + row];
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
    if (place >= segment.count) {
        return;
    }
    let matrix = matrices[place];
    if (matrix.columns == 0u) {
        return;
    }
    let record = control.records[matrix.record];
    var sum = vec4<f32>();
    var are_across = true;
    for (var row = lane; row < matrix.rows; row += WORKGROUP) {
        let own = row_sum(matrix, row);
        sum += own;
        are_across = are_across && is_across(record, own, f32(matrix.columns));
    }
    parts[lane] = sum;
    across[lane] = u32(are_across);
    workgroupBarrier();
    for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
        if (lane < width) {
            parts[lane] += parts[lane + width];
            across[lane] &= across[lane + width];
        }
        workgroupBarrier();
    }
    let whole = parts[0];
    let by_rows = across[0] != 0u;
    let is_whole = is_across(record, whole, f32(matrix.rows) * f32(matrix.columns));
    for (var row = lane; row < matrix.rows; row += WORKGROUP) {
        var own = 0.0;
        if (by_rows) {
            own = share(record, row_sum(matrix, row));
        } else if (is_whole) {
            own = share(record, whole);
        }
        shares[matrix.first + row] = own;
    }
    if (lane == 0u && control.stats.skip == 0u) {
        control.records[matrix.record].sum_a = f32(u32(by_rows || is_whole));
    }
}

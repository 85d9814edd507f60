// The rows and columns of each matrix take this step's means, and the mean of the rows is written for the kernels to come.
//
//   r <- r + w (sum of the row's sums / columns - r)
//   c <- c + w (sum of the column's sums / rows - c)
//   mean = max(mean of r, eps)
//
// A workgroup does one matrix, by a fixed tree, or several, of which each lane does some. The rate w is the rule's.
//
//   0 folded   [n]                    which matrices each workgroup does
//   1 factors  [tensors]              of each tensor in the list
//   2 row_sums                        see Factors
//   3 column_sums                     see Factors
//   4 state    [state page]           rows and columns
//   5 means    [matrices]             of each matrix
//   6 control                         records are read
//   7 segment                         how many workgroups there are
#import control
#import table
#import chunk
#import float
#import factors
#import state
#import rule

override WORKGROUP: u32 = 256u;

@group(0) @binding(0) var<storage, read> folded: array<Folded>;
@group(0) @binding(1) var<storage, read> factors: array<Factors>;
@group(0) @binding(2) var<storage, read> row_sums: array<f32>;
@group(0) @binding(3) var<storage, read> column_sums: array<f32>;
@group(0) @binding(4) var<storage, read_write> state: array<f32>;
@group(0) @binding(5) var<storage, read_write> means: array<f32>;
@group(0) @binding(6) var<storage, read> control: Control;
@group(0) @binding(7) var<uniform> segment: Segment;

var<workgroup> parts: array<f32, WORKGROUP>;

// The number in the state, with this step's; written and returned.
fn taken(place: u32, mean: f32, rate: f32) -> f32 {
    let next = lerp(vec4<f32>(state[place]), vec4<f32>(mean), rate).x;
    state[place] = next;
    return next;
}

// A row of all the tensor's, from the chunks that it has a part in.
fn take_row(own: Factors, row: u32, rate: f32) -> f32 {
    let last = ((row + 1u) * own.columns - 1u) / own.chunk;
    var sum = 0.0;
    for (var number = row * own.columns / own.chunk; number <= last; number++) {
        sum += row_sums[own.row_sums + number + row];
    }
    return taken(own.row_state + row, sum / f32(own.columns), rate);
}

// A column of a matrix, from the bands that it has a part in.
fn take_column(own: Factors, matrix: u32, column: u32, rate: f32) {
    let top = matrix * own.rows * own.columns + column;
    let last = (top + (own.rows - 1u) * own.columns) / own.band;
    var sum = 0.0;
    for (var number = top / own.band; number <= last; number++) {
        sum += column_sums[own.column_sums + (number + matrix) * own.columns + column];
    }
    _ = taken(own.column_state + matrix * own.columns + column, sum / f32(own.rows), rate);
}

fn put_mean(own: Factors, matrix: u32, sum: f32, least: f32) {
    let mean = sum / f32(own.rows);
    means[own.means + matrix] = select(mean, least, mean < least);
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
    let which = folded[place];
    let own = factors[which.entry];
    let record = prepared(control.records[own.record]);
    let rate = record.root_scale;
    if (which.count > 1u) {
        for (var matrix = which.first + lane; matrix < which.first + which.count; matrix += WORKGROUP) {
            var sum = 0.0;
            for (var row = 0u; row < own.rows; row++) {
                sum += take_row(own, matrix * own.rows + row, rate);
            }
            for (var column = 0u; column < own.columns; column++) {
                take_column(own, matrix, column, rate);
            }
            put_mean(own, matrix, sum, record.eps);
        }
        return;
    }
    let matrix = which.first;
    var sum = 0.0;
    for (var row = lane; row < own.rows; row += WORKGROUP) {
        sum += take_row(own, matrix * own.rows + row, rate);
    }
    for (var column = lane; column < own.columns; column += WORKGROUP) {
        take_column(own, matrix, column, rate);
    }
    parts[lane] = sum;
    workgroupBarrier();
    for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
        if (lane < width) {
            parts[lane] += parts[lane + width];
        }
        workgroupBarrier();
    }
    if (lane == 0u) {
        put_mean(own, matrix, parts[0], record.eps);
    }
}

// The moments that a batch norm (Ioffe & Szegedy 2015) goes by, of each channel: those of the batch, or the running ones.
//
//   mean = sum_r x[r, c] / rows           variance = sum_r (x[r, c] - mean)² / rows        rstd = 1 / sqrt(variance + eps)
//   running += f (batch - running)        f = momentum, or 1 / (count + 1)                 with TRACK = 1
//   mean, variance = running ones                                                          with RUNNING = 1
//
// The running variance is of variance · rows / (rows - 1), as in PyTorch. A workgroup makes WORKGROUP / LANES quads of channels:
// LANES lanes share a quad, each takes rows in turn, then a fixed tree sums. The variance takes a second turn over the rows:
// mean(x²) - mean² would cancel. Each ghost batch (Hoffer et al. 2017) has moments of its own; they join the running ones one after
// the other. Sums over many rows are made in blocks, so that their rounding error grows at most with the root
// of the rows. With RUNNING x is not read; without both switches the running statistics are not.
//
//   0 x         [rows, quads]   vec4, zero after the last channel
//   1 mean      [width]         running
//   2 variance  [width]         running
//   3 count     [1]             batches before this one; only read
//   4 moments   [ghosts, width]
//   5 shape
#import quad
#import batch_norm
#import values

override WORKGROUP: u32 = 64u;
override LANES: u32 = 8u;      // a power of two that divides WORKGROUP
// Rows that a lane adds up before it adds to the whole.
const BLOCK: u32 = 64u;

override TRACK: u32 = 0u;
override RUNNING: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read_write> mean: array<f32>;
@group(0) @binding(2) var<storage, read_write> variance: array<f32>;
@group(0) @binding(3) var<storage, read_write> count: array<f32>;
@group(0) @binding(4) var<storage, read_write> moments: array<ChannelMoments>;
@group(0) @binding(5) var<uniform> shape: BatchNorm;

var<workgroup> sums: array<vec4<f32>, WORKGROUP>;

// The sum over the lanes of a quad, by a fixed tree. All invocations of a workgroup call it together.
fn lanes_sum(lane: u32, value: vec4<f32>) -> vec4<f32> {
    let columns = WORKGROUP / LANES;
    sums[lane] = value;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if (lane / columns < width) {
            sums[lane] += sums[lane + width * columns];
        }
        workgroupBarrier();
    }
    let sum = sums[lane % columns];
    workgroupBarrier();
    return sum;
}

// Of channel c of a ghost batch of so many rows.
fn store(ghost: u32, c: u32, rows: f32, batch_mean: f32, batch_variance: f32) {
    var known = vec2<f32>(batch_mean, batch_variance);
    if (RUNNING != 0u) {
        known = vec2<f32>(mean[c], variance[c]);
    }
    moments[ghost * shape.width + c] = ChannelMoments(known.x, 1.0 / sqrt(known.y + shape.eps));
    if (TRACK != 0u) {
        var share = shape.momentum;
        if (share < 0.0) {
            share = 1.0 / (count[0] + f32(ghost) + 1.0);
        }
        mean[c] += share * (batch_mean - mean[c]);
        variance[c] += share * (batch_variance * rows / max(rows - 1.0, 1.0) - variance[c]);
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let columns = WORKGROUP / LANES;
    let q = (group.y * grid.x + group.x) * columns + lane % columns;
    let at = min(q, shape.quads - 1u);
    for (var ghost = 0u; ghost < ghosts(); ghost++) {
        let first = ghost * shape.ghost_rows;
        let end = min(first + shape.ghost_rows, shape.rows);
        let rows = f32(end - first);
        var batch_mean = vec4<f32>();
        var batch_variance = vec4<f32>();
        if (RUNNING == 0u) {
            var total = vec4<f32>();
            for (var block = first + lane / columns; block < end; block += BLOCK * LANES) {
                var some = vec4<f32>();
                for (var r = block; r < min(block + BLOCK * LANES, end); r += LANES) {
                    some += wide(x[r * shape.quads + at]);
                }
                total += some;
            }
            batch_mean = lanes_sum(lane, total) / rows;
            var squares = vec4<f32>();
            for (var block = first + lane / columns; block < end; block += BLOCK * LANES) {
                var some = vec4<f32>();
                for (var r = block; r < min(block + BLOCK * LANES, end); r += LANES) {
                    let apart = wide(x[r * shape.quads + at]) - batch_mean;
                    some += apart * apart;
                }
                squares += some;
            }
            batch_variance = lanes_sum(lane, squares) / rows;
        }
        if (lane < columns && q < shape.quads) {
            for (var n = 0u; n < 4u && 4u * q + n < shape.width; n++) {
                store(ghost, 4u * q + n, rows, batch_mean[n], batch_variance[n]);
            }
        }
    }
}

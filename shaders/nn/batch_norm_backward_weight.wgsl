// Batch norm, backward to gamma and beta, and the slopes that the gradient of x goes by.
//
//   dgamma[c] = sum_r dy[r, c] n[r, c]       dbeta[c] = sum_r dy[r, c]       n[r, c] = (x[r, c] - mean_c) rstd_c
//   slopes[c] = (dbeta[c], dgamma[c]) / rows      of each ghost batch alone
//
// A workgroup makes WORKGROUP / LANES quads of channels: LANES lanes share a quad, each takes rows in turn, then a fixed tree
// sums. The first micro-batch of a step overwrites the gradients, later ones add (ACCUMULATE = 1); slopes are of this batch
// alone. Frozen parameters (WEIGHT = 0, BIAS = 0) are not written, and any range may be bound for them.
//
//   0 dy       [rows, quads]   vec4, zero after the last channel
//   1 x        [rows, quads]   vec4
//   2 moments  [ghosts, width]
//   3 slopes   [ghosts, width]
//   4 dgamma   [width]
//   5 dbeta    [width]
//   6 shape
//   7 squares  [2, quads]      with SQUARES: of dgamma, then of dbeta
#import quad
#import batch_norm
#import squares
#import values

override WORKGROUP: u32 = 64u;
override LANES: u32 = 8u;      // a power of two that divides WORKGROUP
// Rows that a lane adds up before it adds to the whole.
const BLOCK: u32 = 64u;

override ACCUMULATE: u32 = 0u;
override WEIGHT: u32 = 1u;
override BIAS: u32 = 1u;

@group(0) @binding(0) var<storage, read> dy: array<Stored>;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> moments: array<ChannelMoments>;
@group(0) @binding(3) var<storage, read_write> slopes: array<ChannelSlopes>;
@group(0) @binding(4) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(5) var<storage, read_write> dbeta: array<f32>;
@group(0) @binding(6) var<uniform> shape: BatchNorm;
#ifdef SQUARES
@group(0) @binding(7) var<storage, read_write> squares: array<Squares>;
#endif

var<workgroup> gammas: array<vec4<f32>, WORKGROUP>;
var<workgroup> betas: array<vec4<f32>, WORKGROUP>;

fn store_slopes(ghost: u32, q: u32, along: vec4<f32>, plain: vec4<f32>) {
    for (var n = 0u; n < 4u && 4u * q + n < shape.width; n++) {
        slopes[ghost * shape.width + 4u * q + n] = ChannelSlopes(plain[n], along[n]);
    }
}

fn store(q: u32, gamma: vec4<f32>, beta: vec4<f32>) {
    var gammas_stored = vec4<f32>();
    var betas_stored = vec4<f32>();
    for (var n = 0u; n < 4u && 4u * q + n < shape.width; n++) {
        let c = 4u * q + n;
        if (WEIGHT != 0u) {
            gammas_stored[n] = gamma[n] + select(0.0, dgamma[c], ACCUMULATE != 0u);
            dgamma[c] = gammas_stored[n];
        }
        if (BIAS != 0u) {
            betas_stored[n] = beta[n] + select(0.0, dbeta[c], ACCUMULATE != 0u);
            dbeta[c] = betas_stored[n];
        }
    }
#ifdef SQUARES
    if (WEIGHT != 0u) {
        squares[q] = partial_of(squares_of(gammas_stored));
    }
    if (BIAS != 0u) {
        squares[shape.quads + q] = partial_of(squares_of(betas_stored));
    }
#endif
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
    var all_gamma = vec4<f32>();
    var all_beta = vec4<f32>();
    for (var ghost = 0u; ghost < ghosts(); ghost++) {
        let first = ghost * shape.ghost_rows;
        let end = min(first + shape.ghost_rows, shape.rows);
        var mean = vec4<f32>();
        var rstd = vec4<f32>();
        for (var n = 0u; n < 4u; n++) {
            let known = moments[ghost * shape.width + channels(at)[n]];
            mean[n] = known.mean;
            rstd[n] = known.rstd;
        }
        var gamma = vec4<f32>();
        var beta = vec4<f32>();
        for (var block = first + lane / columns; block < end; block += BLOCK * LANES) {
            var some_gamma = vec4<f32>();
            var some_beta = vec4<f32>();
            for (var r = block; r < min(block + BLOCK * LANES, end); r += LANES) {
                let d = wide(dy[r * shape.quads + at]);
                some_gamma += d * (wide(x[r * shape.quads + at]) - mean) * rstd;
                some_beta += d;
            }
            gamma += some_gamma;
            beta += some_beta;
        }
        gammas[lane] = gamma;
        betas[lane] = beta;
        workgroupBarrier();
        for (var width = LANES / 2u; width > 0u; width /= 2u) {
            if (lane / columns < width) {
                gammas[lane] += gammas[lane + width * columns];
                betas[lane] += betas[lane + width * columns];
            }
            workgroupBarrier();
        }
        if (lane < columns && q < shape.quads) {
            store_slopes(ghost, q, gammas[lane] / f32(end - first), betas[lane] / f32(end - first));
            all_gamma += gammas[lane];
            all_beta += betas[lane];
        }
        workgroupBarrier();
    }
    if (lane < columns && q < shape.quads) {
        store(q, all_gamma, all_beta);
    }
}

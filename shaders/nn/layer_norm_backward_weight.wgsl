// Layer norm, backward to gamma and beta.
//
//   dgamma[c] = sum_r dy[r, c] (x[r, c] - mean_r) rstd_r            dbeta[c] = sum_r dy[r, c]
//
// A workgroup makes WORKGROUP / LANES quads of columns: LANES lanes share a quad, each takes rows in turn, then a fixed
// tree sums. Neighbouring lanes read neighbouring quads. The first micro-batch of a step overwrites, later ones add
// (ACCUMULATE = 1); frozen parameters (WEIGHT = 0, BIAS = 0) are not written, and any range may be bound for them.
//
//   0 dy       [rows, quads]          vec4, zero after the last column
//   1 x        [rows, quads]          vec4: what was normalized, the sum where a residual was added
//   2 moments  [rows]
//   3 dgamma   [width]
//   4 dbeta    [width]
//   5 shape
//   6 squares  [2, quads]             with SQUARES: of dgamma, then of dbeta
#import layer_norm
#import squares
#import values

override WORKGROUP: u32 = 64u;
override LANES: u32 = 8u;      // a power of two that divides WORKGROUP
override ACCUMULATE: u32 = 0u;
override WEIGHT: u32 = 1u;
override BIAS: u32 = 1u;

@group(0) @binding(0) var<storage, read> dy: array<Stored>;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> moments: array<Moments>;
@group(0) @binding(3) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(4) var<storage, read_write> dbeta: array<f32>;
@group(0) @binding(5) var<uniform> shape: LayerNorm;
#ifdef SQUARES
@group(0) @binding(6) var<storage, read_write> squares: array<Squares>;
#endif

var<workgroup> gammas: array<vec4<f32>, WORKGROUP>;
var<workgroup> betas: array<vec4<f32>, WORKGROUP>;

fn store(q: u32, gamma: vec4<f32>, beta: vec4<f32>) {
    var gammas_stored = vec4<f32>();
    var betas_stored = vec4<f32>();
    for (var k = 0u; k < 4u && 4u * q + k < shape.width; k++) {
        let c = 4u * q + k;
        if (WEIGHT != 0u) {
            gammas_stored[k] = gamma[k] + select(0.0, dgamma[c], ACCUMULATE != 0u);
            dgamma[c] = gammas_stored[k];
        }
        if (BIAS != 0u) {
            betas_stored[k] = beta[k] + select(0.0, dbeta[c], ACCUMULATE != 0u);
            dbeta[c] = betas_stored[k];
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
    var gamma = vec4<f32>();
    var beta = vec4<f32>();
    for (var r = lane / columns; r < shape.rows; r += LANES) {
        let d = wide(dy[r * shape.quads + at]);
        gamma += d * (wide(x[r * shape.quads + at]) - moments[r].mean) * moments[r].rstd;
        beta += d;
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
        store(q, gammas[lane], betas[lane]);
    }
}

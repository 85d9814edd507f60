// Layer norm, backward to its input, to gamma and to beta.
//
//   n[r, c] = (x[r, c] - mean_r) rstd_r           g[r, c] = dy[r, c] gamma[c]
//   dx[r, c] = rstd_r (g[r, c] - mean_c g[r] - n[r, c] mean_c (g n)[r])
//   dgamma[c] = sum_r dy[r, c] n[r, c]            dbeta[c] = sum_r dy[r, c]
//
// The first workgroups take rows, LANES lanes each (shaders/shared/rows.wgsl); the others take quads of columns: LANES
// lanes share one, each takes rows in turn, then a fixed tree sums. Neighbouring lanes read neighbouring quads. With
// ACCUMULATE = 1 dx is added to the gradient of the residual branch, with ACCUMULATE_WEIGHT = 1 dgamma and dbeta to those of
// an earlier micro-batch. What is not wanted (INPUT = 0, WEIGHT = 0, BIAS = 0) is neither made nor written, and anything may be
// bound in its place.
//
//   0 dy       [rows, quads]          vec4, zero after the last column
//   1 x        [rows, quads]          vec4: what was normalized, the sum where a residual was added
//   2 gamma    [width]
//   3 moments  [rows]
//   4 dx       [rows, quads]          vec4, zero after the last column
//   5 dgamma   [width]
//   6 dbeta    [width]
//   7 shape
//   8 squares  [2, quads]             with SQUARES: of dgamma, then of dbeta
#import layer_norm
#import quad
#import rows
#import squares
#import values

override ACCUMULATE: u32 = 0u;
override ACCUMULATE_WEIGHT: u32 = 0u;
override INPUT: u32 = 1u;
override WEIGHT: u32 = 1u;
override BIAS: u32 = 1u;

@group(0) @binding(0) var<storage, read> dy: array<Stored>;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> moments: array<Moments>;
@group(0) @binding(4) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(5) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(6) var<storage, read_write> dbeta: array<f32>;
@group(0) @binding(7) var<uniform> shape: LayerNorm;
#ifdef SQUARES
@group(0) @binding(8) var<storage, read_write> squares: array<Squares>;
#endif

var<workgroup> gammas: array<vec4<f32>, WORKGROUP>;
var<workgroup> betas: array<vec4<f32>, WORKGROUP>;

// dy times gamma: 0 after the last column, as dy is.
fn scaled(row: u32, q: u32) -> vec4<f32> {
    let c = min(4u * q + QUAD, vec4<u32>(shape.width - 1u));
    return wide(dy[row + q]) * vec4<f32>(gamma[c.x], gamma[c.y], gamma[c.z], gamma[c.w]);
}

fn to_input(index: u32, lane: u32) {
    let r = index * (WORKGROUP / LANES) + lane / LANES;
    let place = min(r, shape.rows - 1u);
    let row = place * shape.quads;
    let first = lane % LANES;
    let own = moments[place];
    var plain = vec4<f32>();
    var along = vec4<f32>();
    for (var q = first; q < shape.quads; q += LANES) {
        let g = scaled(row, q);
        plain += g;
        along += g * (wide(x[row + q]) - own.mean) * own.rstd;
    }
    let mean_plain = row_sum(lane, total(plain)) / f32(shape.width);
    let mean_along = row_sum(lane, total(along)) / f32(shape.width);
    if (r >= shape.rows) {
        return;
    }
    for (var q = first; q < shape.quads; q += LANES) {
        let n = (wide(x[row + q]) - own.mean) * own.rstd;
        var value = own.rstd * (scaled(row, q) - mean_plain - n * mean_along);
        value = select(vec4<f32>(), value, inside(q, shape.width));
        if (ACCUMULATE != 0u) {
            value += wide(dx[row + q]);
        }
        dx[row + q] = narrow(value);
    }
}

fn store(q: u32, gamma: vec4<f32>, beta: vec4<f32>) {
    var gammas_stored = vec4<f32>();
    var betas_stored = vec4<f32>();
    for (var k = 0u; k < 4u && 4u * q + k < shape.width; k++) {
        let c = 4u * q + k;
        if (WEIGHT != 0u) {
            gammas_stored[k] = gamma[k] + select(0.0, dgamma[c], ACCUMULATE_WEIGHT != 0u);
            dgamma[c] = gammas_stored[k];
        }
        if (BIAS != 0u) {
            betas_stored[k] = beta[k] + select(0.0, dbeta[c], ACCUMULATE_WEIGHT != 0u);
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

fn to_weight(index: u32, lane: u32) {
    let columns = WORKGROUP / LANES;
    let q = index * columns + lane % columns;
    let at = min(q, shape.quads - 1u);
    var gamma = vec4<f32>();
    var beta = vec4<f32>();
    for (var r = lane / columns; r < shape.rows; r += LANES) {
        let d = wide(dy[r * shape.quads + at]);
        gamma += d * (wide(x[r * shape.quads + at]) - moments[r].mean) * moments[r].rstd;
        beta += d;
    }
    if (LANES > 1u) {
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
        gamma = gammas[lane];
        beta = betas[lane];
    }
    if (lane < columns && q < shape.quads) {
        store(q, gamma, beta);
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.y * grid.x + group.x;
    let rows_of_group = WORKGROUP / LANES;
    let for_rows = select(0u, (shape.rows + rows_of_group - 1u) / rows_of_group, INPUT != 0u);
    if (index < for_rows) {
        to_input(index, lane);
    } else {
        to_weight(index - for_rows, lane);
    }
}

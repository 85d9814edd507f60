// Layer norm (Ba et al. 2016), forward, with the residual add in front of it folded in.
//
//   y[r, c] = (x[r, c] - mean_r) rstd_r gamma[c] + beta[c]          rstd = 1 / sqrt(variance + eps)
//
// mean and variance (divided by the width, as in PyTorch) go over a row; they are kept for backward. With RESIDUAL the
// norm is of x + residual, which is stored as sum. The variance is the mean of (x - mean)², in a second turn over the
// row: mean(x²) - mean² would cancel.
//
//   0 x        [rows, quads]          vec4, zero after the last column
//   1 gamma    [width]
//   2 beta     [width]
//   3 y        [rows, quads]          vec4, zero after the last column
//   4 moments  [rows]
//   5 shape
//   6 residual [rows, quads]          with RESIDUAL
//   7 sum      [rows, quads]          with RESIDUAL
#import quad
#import rows
#import layer_norm
#import values

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read> gamma: array<f32>;
@group(0) @binding(2) var<storage, read> beta: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Stored>;
@group(0) @binding(4) var<storage, read_write> moments: array<Moments>;
@group(0) @binding(5) var<uniform> shape: LayerNorm;
#ifdef RESIDUAL
@group(0) @binding(6) var<storage, read> residual: array<Stored>;
@group(0) @binding(7) var<storage, read_write> sum: array<Stored>;
#endif

fn value_at(at: u32) -> vec4<f32> {
#ifdef RESIDUAL
    return wide(x[at]) + wide(residual[at]);
#else
    return wide(x[at]);
#endif
}

// gamma and beta, columns 4q .. 4q + 3; the last column again after it.
fn gammas(q: u32) -> vec4<f32> {
    let c = min(4u * q + QUAD, vec4<u32>(shape.width - 1u));
    return vec4<f32>(gamma[c.x], gamma[c.y], gamma[c.z], gamma[c.w]);
}

fn betas(q: u32) -> vec4<f32> {
    let c = min(4u * q + QUAD, vec4<u32>(shape.width - 1u));
    return vec4<f32>(beta[c.x], beta[c.y], beta[c.z], beta[c.w]);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let r = row_at(group, grid, lane);
    let row = min(r, shape.rows - 1u) * shape.quads;
    let first = lane % LANES;
    var values = vec4<f32>();
    for (var q = first; q < shape.quads; q += LANES) {
        values += value_at(row + q);
    }
    let mean = row_sum(lane, total(values)) / f32(shape.width);
    var squares = vec4<f32>();
    for (var q = first; q < shape.quads; q += LANES) {
        let apart = select(vec4<f32>(), value_at(row + q) - mean, inside(q, shape.width));
        squares += apart * apart;
    }
    let rstd = 1.0 / sqrt(row_sum(lane, total(squares)) / f32(shape.width) + shape.eps);
    if (r >= shape.rows) {
        return;
    }
    if (first == 0u) {
        moments[r] = Moments(mean, rstd);
    }
    for (var q = first; q < shape.quads; q += LANES) {
        let value = value_at(row + q);
        let normed = (value - mean) * rstd * gammas(q) + betas(q);
        y[row + q] = narrow(select(vec4<f32>(), normed, inside(q, shape.width)));
#ifdef RESIDUAL
        sum[row + q] = narrow(value);
#endif
    }
}

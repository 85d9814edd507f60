//! Twin of `shaders/optim/factor_sums.wgsl`.

use super::rule::Factored;
use crate::twin::shared::{Chunk, Factors, Segment, met_gradient, split_control};

/// The sums of p² and of the direction's square, of every chunk of a segment, at its place in the work list.
#[allow(clippy::too_many_arguments, reason = "one argument a binding of the shader")]
pub fn factor_sums<R: Factored>(
    chunks: &[Chunk],
    control: &[u32],
    state: &[f32],
    params: &[f32],
    grads: &[f32],
    segment: &Segment,
    factors: &[Factors],
    means: &[f32],
    sums: &mut [[f32; 2]],
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    for (chunk, out) in segment.of(chunks).iter().zip(&mut sums[segment.first as usize..]) {
        let record = R::prepared(records[chunk.tensor as usize]);
        let own = &factors[chunk.entry as usize];
        let (params, grads) = (&params[chunk.of_params()], &grads[chunk.of_grads(record.grad)]);
        let mut sum = [0.0f64; 2];
        for (k, (p, g)) in params.iter().zip(grads).enumerate() {
            let g = met_gradient(&record, stats.value_bound, *g);
            let v = match own.is_matrix() {
                true => second_moment(own, chunk.number * own.chunk + k as u32, state, means),
                false => R::second_moment(&record, g, state[own.of_vector(chunk)][k]),
            };
            let u = R::direction(&record, g, v);
            sum = [sum[0] + f64::from(p * p), sum[1] + f64::from(u * u)];
        }
        *out = sum.map(|sum| sum as f32);
    }
}

/// Of an element of a matrix.
pub(super) fn second_moment(own: &Factors, element: u32, state: &[f32], means: &[f32]) -> f32 {
    let [row, column, mean] = own.places(element);
    state[row] * state[column] / means[mean]
}

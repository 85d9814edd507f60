//! Twin of `shaders/optim/factor_update.wgsl`.

use super::factor_sums::second_moment;
use super::rule::{Element, Factored};
use crate::twin::shared::{Chunk, Factors, Record, Segment, lerp, split_control};

/// One step of every chunk of a segment by a rule whose rows and columns have taken it. `average` is there where a group keeps
/// one.
#[allow(clippy::too_many_arguments, reason = "one argument a binding of the shader")]
pub fn factor_update<R: Factored>(
    chunks: &[Chunk],
    control: &[u32],
    state: &mut [f32],
    params: &mut [f32],
    grads: &[f32],
    segment: &Segment,
    factors: &[Factors],
    means: &[f32],
    mut average: Option<&mut [f32]>,
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    for chunk in segment.of(chunks) {
        let own = &factors[chunk.entry as usize];
        let record = prepared::<R>(records[chunk.tensor as usize], own);
        let (params, grads) = (&mut params[chunk.of_params()], &grads[chunk.of_grads(record.grad)]);
        let mut average = average.as_mut().map(|average| &mut average[chunk.of_state()]);
        for (k, (p, g)) in params.iter_mut().zip(grads).enumerate() {
            let (g, mut old) = Element { p: *p, kept: [0.0] }.met(&record, stats.value_bound, *g);
            if own.is_matrix() {
                old.kept = [second_moment(own, chunk.number * own.chunk + k as u32, state, means)];
            } else {
                let v = &mut state[own.of_vector(chunk)][k];
                *v = R::second_moment(&record, g, *v);
                old.kept = [*v];
            }
            *p = R::stepped(&record, g, old).p;
            if let Some(average) = &mut average {
                average[k] = lerp(average[k], *p, record.average_rate);
            }
        }
    }
}

/// The record of a step: the sums over the tensor are means.
pub(crate) fn prepared<R: Factored>(record: Record, own: &Factors) -> Record {
    let elements = own.elements as f32;
    R::prepared(Record { sum_a: record.sum_a / elements, sum_b: record.sum_b / elements, ..record })
}

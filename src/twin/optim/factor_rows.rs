//! Twin of `shaders/optim/factor_rows.wgsl`.

use crate::twin::shared::{Chunk, Factors, Segment, met_gradient, split_control};

/// The sums of the squares of each row's gradients, of the part that each chunk of a segment has.
pub fn factor_rows(
    chunks: &[Chunk],
    control: &[u32],
    grads: &[f32],
    segment: &Segment,
    factors: &[Factors],
    sums: &mut [f32],
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    for chunk in segment.of(chunks) {
        let record = &records[chunk.tensor as usize];
        let (rows, grads) = (factors[chunk.entry as usize].as_rows(), &grads[chunk.of_grads(record.grad)]);
        for (sum, part) in sums[rows.sums_of(chunk)].iter_mut().zip(rows.parts(chunk)) {
            let met = grads[part].iter().map(|g| met_gradient(record, stats.value_bound, *g));
            *sum = met.map(|g| f64::from(g) * f64::from(g)).sum::<f64>() as f32;
        }
    }
}

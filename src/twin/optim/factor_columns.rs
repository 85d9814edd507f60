//! Twin of `shaders/optim/factor_columns.wgsl`.

use crate::twin::shared::{Band, Chunk, Factors, Segment, met_gradient, split_control};

/// The sums of the squares of each column's gradients, of the part that each band of a segment has. Its segment counts bands.
pub fn factor_columns(
    chunks: &[Chunk],
    control: &[u32],
    grads: &[f32],
    segment: &Segment,
    factors: &[Factors],
    bands: &[Band],
    sums: &mut [f32],
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    for band in &bands[segment.first as usize..][..segment.count as usize] {
        let chunk = &chunks[band.chunk as usize];
        let (own, record) = (&factors[chunk.entry as usize], &records[chunk.tensor as usize]);
        let grads = &grads[chunk.of_grads(record.grad).start..];
        for line in own.lines(band, chunk) {
            let before = if line.is_continued { sums[line.out] } else { 0.0 };
            let met = grads[line.first..].iter().step_by(own.columns as usize).take(line.count);
            let met = met.map(|g| met_gradient(record, stats.value_bound, *g));
            sums[line.out] = met.fold(before, |sum, g| sum + g * g);
        }
    }
}

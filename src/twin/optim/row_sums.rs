//! Twin of `shaders/optim/row_sums.wgsl`.

use super::rule::{ByRows, Element};
use crate::twin::shared::{Chunk, Matrix, Record, Segment, split_control};

/// The four sums that a rule needs over each row that a chunk of a segment has a part of.
#[allow(clippy::too_many_arguments, reason = "one argument a binding of the shader")]
pub fn row_sums<R: ByRows<SEEN>, const SEEN: usize>(
    chunks: &[Chunk],
    control: &[u32],
    slots: &[&[f32]],
    params: &[f32],
    grads: &[f32],
    segment: &Segment,
    matrices: &[Matrix],
    sums: &mut [[f32; 4]],
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    for chunk in segment.of(chunks) {
        let record = R::prepared(records[chunk.tensor as usize]);
        let state: Vec<&[f32]> = slots.iter().map(|slot| &slot[chunk.of_state()]).collect();
        let part = RowPart { params: &params[chunk.of_params()], grads: &grads[chunk.of_grads(record.grad)], state };
        let matrix = &matrices[chunk.entry as usize];
        part.add::<R, SEEN>(&record, stats.value_bound, matrix, chunk, &mut sums[matrix.sums_of(chunk)]);
    }
}

/// What a chunk has of its matrix.
pub(crate) struct RowPart<'a> {
    pub(crate) params: &'a [f32],
    pub(crate) grads: &'a [f32],
    pub(crate) state: Vec<&'a [f32]>,
}

impl RowPart<'_> {
    /// The sums of each row.
    pub(crate) fn add<R: ByRows<SEEN>, const SEEN: usize>(
        &self,
        record: &Record,
        value_bound: f32,
        matrix: &Matrix,
        chunk: &Chunk,
        sums: &mut [[f32; 4]],
    ) {
        for (own, part) in sums.iter_mut().zip(matrix.parts(chunk)) {
            let mut sum = [0.0f64; 4];
            for k in part {
                let kept = std::array::from_fn(|slot| self.state.get(slot).map_or(0.0, |slot| slot[k]));
                let (g, old) = Element { p: self.params[k], kept }.met(record, value_bound, self.grads[k]);
                for (sum, term) in sum.iter_mut().zip(R::row_terms(record, g, old)) {
                    *sum += f64::from(term);
                }
            }
            *own = sum.map(|sum| sum as f32);
        }
    }
}

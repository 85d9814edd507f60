//! Twin of `shaders/optim/row_sums_fold.wgsl`.

use super::rule::ByRows;
use crate::twin::shared::{Matrix, Segment, split_control_mut};

/// Adds up the sums of each matrix's rows, and writes the share that each row has in the update.
pub fn row_sums_fold<R: ByRows<SEEN>, const SEEN: usize>(
    matrices: &[Matrix],
    sums: &[[f32; 4]],
    shares: &mut [f32],
    control: &mut [u32],
    segment: &Segment,
) {
    let (stats, _, records) = split_control_mut(control);
    if stats.skip != 0 {
        return;
    }
    for matrix in matrices[..segment.count as usize].iter().filter(|matrix| matrix.has_rows()) {
        let record = &mut records[matrix.record as usize];
        let rows: Vec<[f32; 4]> = (0..matrix.rows).map(|row| added(&sums[matrix.sums_of_row(row)])).collect();
        let whole = added(&rows);
        let columns = matrix.columns as f32;
        let by_rows = rows.iter().all(|row| R::is_across(record, *row, columns));
        let is_whole = R::is_across(record, whole, matrix.rows as f32 * columns);
        for (share, row) in shares[matrix.first as usize..].iter_mut().zip(rows) {
            *share = match (by_rows, is_whole) {
                (true, _) => R::share(record, row),
                (false, true) => R::share(record, whole),
                (false, false) => 0.0,
            };
        }
        record.sum_a = f32::from(u8::from(by_rows || is_whole));
    }
}

fn added(sums: &[[f32; 4]]) -> [f32; 4] {
    std::array::from_fn(|which| sums.iter().map(|sum| f64::from(sum[which])).sum::<f64>() as f32)
}

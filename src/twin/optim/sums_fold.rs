//! Twin of `shaders/optim/sums_fold.wgsl`.

use crate::twin::shared::{Fold, Segment, split_control_mut};

/// Adds up the sums of each tensor's chunks and writes them into its record.
pub fn sums_fold(folds: &[Fold], places: &[u32], sums: &[[f32; 2]], control: &mut [u32], segment: &Segment) {
    let (stats, _, records) = split_control_mut(control);
    if stats.skip != 0 {
        return;
    }
    for fold in &folds[..segment.count as usize] {
        let own = &places[fold.first as usize..][..fold.count as usize];
        let sum = |which: usize| own.iter().map(|place| f64::from(sums[*place as usize][which])).sum::<f64>() as f32;
        let record = &mut records[fold.record as usize];
        (record.sum_a, record.sum_b) = (sum(0), sum(1));
    }
}

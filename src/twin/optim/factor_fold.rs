//! Twin of `shaders/optim/factor_fold.wgsl`.

use super::rule::Factored;
use crate::twin::shared::{Factors, Folded, Segment, lerp, split_control};

/// The rows and columns of each matrix take this step's means; of the rows the mean is written.
#[allow(clippy::too_many_arguments, reason = "one argument a binding of the shader")]
pub fn factor_fold<R: Factored>(
    folded: &[Folded],
    factors: &[Factors],
    row_sums: &[f32],
    column_sums: &[f32],
    state: &mut [f32],
    means: &mut [f32],
    control: &[u32],
    segment: &Segment,
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    for which in &folded[..segment.count as usize] {
        let own = &factors[which.entry as usize];
        let record = R::prepared(records[own.record as usize]);
        let as_rows = own.as_rows();
        let mut take = |place: usize, mean: f64| {
            state[place] = lerp(state[place], mean as f32, record.root_scale);
            f64::from(state[place])
        };
        for matrix in which.first..which.first + which.count {
            let mut sum = 0.0;
            for row in matrix * own.rows..(matrix + 1) * own.rows {
                let squares: f64 = row_sums[as_rows.sums_of_row(row)].iter().map(|sum| f64::from(*sum)).sum();
                sum += take((own.row_state + row) as usize, squares / f64::from(own.columns));
            }
            for column in 0..own.columns {
                let squares = own.sums_of_column(matrix, column).map(|place| f64::from(column_sums[place]));
                let place = own.column_state + matrix * own.columns + column;
                take(place as usize, squares.sum::<f64>() / f64::from(own.rows));
            }
            let mean = (sum / f64::from(own.rows)) as f32;
            means[(own.means + matrix) as usize] = if mean < record.eps { record.eps } else { mean };
        }
    }
}

//! Positions of a picture's patches, for pictures of another size.

/// A table of positions for another number of patches, down and across, as transformers' `interpolate_pos_encoding` makes it. Rows of
/// the `tokens` in front stay as they are. Rows of patches are bicubic (Keys 1981, a = −0.75), with repeated edges and without aligned
/// corners.
///
/// `None` if the table does not hold `width` numbers for each token and each patch that it is `from`, or if a side is 0.
pub fn interpolated(table: &[f32], from: [usize; 2], to: [usize; 2], tokens: usize, width: usize) -> Option<Vec<f32>> {
    let rows = |patches: [usize; 2]| patches[0].checked_mul(patches[1])?.checked_add(tokens)?.checked_mul(width);
    if rows(from)? != table.len() || from.contains(&0) || to.contains(&0) || rows(to).is_none() {
        return None;
    }
    if from == to {
        return Some(table.to_vec());
    }
    let (front, patches) = table.split_at(tokens * width);
    let [down, across] = [0, 1].map(|side| taps(from[side], to[side]));
    let mut all = front.to_vec();
    for rows in &down {
        for columns in &across {
            all.extend((0..width).map(|c| {
                let number = |row: usize, column: usize| f64::from(patches[(row * from[1] + column) * width + c]);
                let of_row =
                    |row: usize| columns.iter().map(|(column, weight)| weight * number(row, *column)).sum::<f64>();
                rows.iter().map(|(row, weight)| weight * of_row(*row)).sum::<f64>() as f32
            }));
        }
    }
    Some(all)
}

/// Four places and their weights for each of the new places of a side.
fn taps(from: usize, to: usize) -> Vec<[(usize, f64); 4]> {
    let scale = from as f64 / to as f64;
    let of = |place: usize| {
        let at = scale * (place as f64 + 0.5) - 0.5;
        let whole = at.floor();
        [-1.0, 0.0, 1.0, 2.0].map(|tap| {
            let near = (whole + tap).clamp(0.0, (from - 1) as f64) as usize;
            (near, weight((at - whole - tap).abs()))
        })
    };
    (0..to).map(of).collect()
}

/// The weight of a place at this distance.
fn weight(distance: f64) -> f64 {
    const A: f64 = -0.75;
    match distance {
        d if d <= 1.0 => ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0,
        d if d < 2.0 => ((A * d - 5.0 * A) * d + 8.0 * A) * d - 4.0 * A,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_large_stays_and_what_is_even_stays_even() {
        let table: Vec<f32> = (0..14).map(|number| number as f32).collect();
        assert_eq!(interpolated(&table, [2, 3], [2, 3], 1, 2), Some(table.clone()));
        let even =
            interpolated(&[[7.0f32, 8.0], [3.0; 2], [3.0; 2], [3.0; 2], [3.0; 2]].concat(), [2, 2], [3, 5], 1, 2);
        let even = even.expect("a table");
        assert_eq!((even.len(), &even[..2]), (32, &[7.0, 8.0][..]));
        assert!(even[2..].iter().all(|number| (number - 3.0).abs() < 1e-6), "{even:?}");
    }

    #[test]
    fn a_table_of_another_size_is_none() {
        assert_eq!(interpolated(&[0.0; 13], [2, 3], [2, 2], 1, 2), None);
        assert_eq!(interpolated(&[0.0; 14], [2, 3], [0, 2], 1, 2), None);
        assert_eq!(interpolated(&[], [usize::MAX, 2], [1, 1], 1, 2), None);
        assert_eq!(interpolated(&[0.0; 2], [0, 2], [1, 1], 1, 2), None);
    }
}

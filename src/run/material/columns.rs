//! What columns of numbers and of categories become: centred, scaled, and one input for each category.

use super::Reader;
use crate::params::{Shown, shown_list, shown_path};
use crate::run::Error;
use crate::run::inputs::Column;
use std::collections::HashSet;
use std::path::Path;

/// What a column holds over the train set.
pub(super) enum Held {
    /// Numbers, one a row.
    Numbers(Vec<f64>),
    /// The categories that come, in order.
    Categories(Vec<String>),
}

impl Reader<'_> {
    /// How columns are centred and scaled: as in the run that is begun from, since what its model learnt is in its numbers,
    /// or over the train set.
    pub(super) fn columns(
        &mut self,
        path: &Path,
        columns: Vec<(String, Held)>,
        standardize: Option<bool>,
    ) -> Result<Vec<Column>, Error> {
        let earlier = self.earlier.as_ref().filter(|(_, earlier)| !earlier.columns.is_empty());
        if let Some((file, earlier)) = earlier {
            let there: Vec<&str> = earlier.columns.iter().map(|column| column.name.as_str()).collect();
            let here: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
            if there != here {
                let (there, here) = (shown_list(&there), shown_list(&here));
                return Err(Error::bad_file(file, format!("its columns are {there}; here they are {here}")));
            }
            let was = earlier.columns.iter().any(|column| (column.mean, column.deviation) != (0.0, 1.0));
            let same = self.weights.is_none() || standardize.is_none_or(|now| now == was);
            if same {
                return Ok(earlier.columns.clone());
            }
            let (then, now) = if was { ("did", "false") } else { ("did not", "true") };
            let begun = "its model now reads other numbers than in training";
            self.warnings.push(format!(
                "data.standardize: {now}, but the run of model.from {then} standardize ({}): {begun}",
                shown_path(file)
            ));
        }
        let scaled = standardize.unwrap_or(true);
        let mut made = Vec::with_capacity(columns.len());
        for (name, held) in columns {
            let numbers = match held {
                Held::Numbers(numbers) => numbers,
                Held::Categories(categories) => {
                    made.push(Column::of_categories(name, categories));
                    continue;
                }
            };
            let values = || numbers.iter().copied();
            let (mean, deviation) = if scaled { moments(values()) } else { (0.0, 1.0) };
            if !mean.is_finite() || !deviation.is_finite() {
                return Err(Error::bad_file(
                    path,
                    format!("the numbers of {} are too large to be standardized", Shown(&name)),
                ));
            }
            if !scaled && blurs(values()) {
                let path = shown_path(path);
                self.warnings.push(format!(
                    "{path}: {}: many of its numbers are one in 32 bits; data.standardize: true tells them apart",
                    Shown(&name)
                ));
            }
            made.push(Column::numbers(name, mean, deviation));
        }
        Ok(made)
    }
}

/// Mean and standard deviation; a column that never changes has 1.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let (least, most) = values
        .clone()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (value.min(least), value.max(most)));
    // A constant column has no deviation, however its mean is rounded.
    if least == most {
        return (least, 1.0);
    }
    // From the least on, and in units of the range: what is far from 0 loses nothing, and no square overflows or vanishes.
    let range = most - least;
    let places = values.map(|value| (value - least) / range);
    let count = places.clone().count() as f64;
    let mean = places.clone().sum::<f64>() / count;
    let variance = places.map(|place| (place - mean).powi(2)).sum::<f64>() / count;
    (least + range * mean, range * variance.sqrt())
}

/// Whether half and more of the numbers that differ are the same in f32.
fn blurs(values: impl Iterator<Item = f64> + Clone) -> bool {
    let different: HashSet<u64> = values.clone().map(f64::to_bits).collect();
    let in_f32: HashSet<u32> = values.map(|value| (value as f32).to_bits()).collect();
    different.len() >= 2 * in_f32.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_right_far_from_zero_and_for_what_is_very_large_or_small() {
        for scale in [1e-300, 1e-160, 1.0, 1e160, 1e300] {
            let (mean, deviation) = moments([1.0, 2.0, 3.0, 4.0].into_iter().map(|value| value * scale));
            assert!(
                (mean / scale - 2.5).abs() < 1e-12 && (deviation / scale - 1.25f64.sqrt()).abs() < 1e-12,
                "{scale}"
            );
        }
        let (mean, deviation) = moments([0.0, 1.0, 2.0].into_iter().map(|second| 1.7e9 + second));
        assert_eq!(mean, 1.7e9 + 1.0);
        assert!((deviation - (2.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(moments([0.1; 40].into_iter()), (0.1, 1.0));
        assert!(blurs((0..100).map(|second| 1.7e9 + f64::from(second))) && !blurs((0..100).map(f64::from)));
    }
}

//! An MLP on rows of numbers.

use super::{Material, Reader};
use crate::data::DataSet;
use crate::params::{Shown, shown_list, shown_path};
use crate::run::inputs::Column;
use crate::run::sets::{Classed, Sets};
use crate::run::{Error, Inputs, examples};
use std::cell::OnceCell;
use std::collections::HashSet;
use std::path::Path;

/// A row of numbers. They stay f64 until they are centred and scaled: f32 does not tell a second from the next of what
/// counts seconds since 1970.
type Row = Classed<Vec<f64>>;

impl Reader<'_> {
    pub(super) fn numbers(
        mut self,
        path: &Path,
        label: &str,
        (features, standardize): (&[String], Option<bool>),
        classes: &[String],
    ) -> Result<Material, Error> {
        // A test file has the columns of the train file.
        let chosen = OnceCell::new();
        let sets = Sets::read(self.run, classes, path, |path| {
            let features = chosen.get().map_or(features, Vec::as_slice);
            let (names, examples) = examples::numbers(path, label, features)?;
            chosen.get_or_init(|| names);
            Ok(examples)
        })?;
        let Sets { train, test, classes, warnings } = sets;
        self.warnings.extend(warnings);
        let names = chosen.into_inner().unwrap_or_default();
        let columns = self.columns(path, names, &train, standardize)?;
        let data = &self.run.data;
        let (train, test) = (
            set(Path::new(&data.train_name()), &train, &columns, classes.len())?,
            set(Path::new(&data.test_name()), &test, &columns, classes.len())?,
        );
        self.rows(path, (train, Some(test)), Inputs { classes, columns, ..Inputs::default() })
    }

    /// How columns are centred and scaled: as in the run that is begun from, since what its model learnt is in its numbers,
    /// or over the train set.
    fn columns(
        &mut self,
        path: &Path,
        names: Vec<String>,
        rows: &[Row],
        standardize: Option<bool>,
    ) -> Result<Vec<Column>, Error> {
        let earlier = self.earlier.as_ref().filter(|(_, earlier)| !earlier.columns.is_empty());
        if let Some((file, earlier)) = earlier {
            let there: Vec<&str> = earlier.columns.iter().map(|column| column.name.as_str()).collect();
            if there != names {
                let (there, here) = (shown_list(&there), shown_list(&names));
                return Err(Error::bad_file(file, format!("its columns are {there}; here they are {here}")));
            }
            let was = earlier.columns.iter().any(|column| (column.mean, column.deviation) != (0.0, 1.0));
            let same = self.weights.is_none() || standardize.is_none_or(|now| now == was);
            if same {
                return Ok(earlier.columns.clone());
            }
            let (then, now) = if was { ("did", "false") } else { ("did not", "true") };
            let begun = "its model reads other numbers now than it learnt from";
            self.warnings.push(format!(
                "data.standardize: {now}, and the run that is begun from {then} standardize ({}): {begun}",
                shown_path(file)
            ));
        }
        let scaled = standardize.unwrap_or(true);
        let mut columns = Vec::with_capacity(names.len());
        for (place, name) in names.into_iter().enumerate() {
            let values = || rows.iter().map(|row| row.input[place]);
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
            columns.push(Column { name, mean, deviation });
        }
        Ok(columns)
    }
}

fn set(path: &Path, rows: &[Row], columns: &[Column], classes: usize) -> Result<DataSet, Error> {
    let mut values = Vec::with_capacity(rows.len() * columns.len());
    for row in rows {
        for (number, column) in row.input.iter().zip(columns) {
            let value = ((number - column.mean) / column.deviation) as f32;
            if !value.is_finite() {
                let reason = format!("{} = {number} is too far from the others for 32 bits", Shown(&column.name));
                return Err(Error::bad_line(path, row.line, reason));
            }
            values.push(value);
        }
    }
    Ok(DataSet::new(columns.len(), classes, values, rows.iter().map(|row| row.class).collect())?)
}

/// Mean and standard deviation; a column that never changes has 1.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let (least, most) = values
        .clone()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (value.min(least), value.max(most)));
    // What never changes has no deviation, whatever its mean is rounded to.
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

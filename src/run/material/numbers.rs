//! An MLP on rows of numbers.

use super::columns::Held;
use super::{Material, Reader};
use crate::data::DataSet;
use crate::run::examples::{self, Example};
use crate::run::inputs::Column;
use crate::run::sets::Sets;
use crate::run::{Error, Inputs};
use std::cell::OnceCell;
use std::path::Path;

/// A row of numbers. They stay f64 until they are centred and scaled: f32 does not tell a second from the next of what
/// counts seconds since 1970.
type Row = Example<Vec<f64>, u32>;

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
        let (sets, classes) = Sets::of_classes(self.run, classes, path, |path| {
            let features = chosen.get().map_or(features, Vec::as_slice);
            let (names, examples) = examples::numbers(path, label, features)?;
            chosen.get_or_init(|| names);
            Ok(examples)
        })?;
        let Sets { train, test, warnings } = sets;
        self.warnings.extend(warnings);
        let names = chosen.into_inner().unwrap_or_default();
        let held = (0..names.len()).map(|place| Held::Numbers(train.iter().map(|row| row.input[place]).collect()));
        let columns = self.columns(path, names.into_iter().zip(held).collect(), standardize)?;
        let data = &self.run.data;
        let (train, test) = (
            set(Path::new(&data.train_name()), &train, &columns, classes.len())?,
            set(Path::new(&data.test_name()), &test, &columns, classes.len())?,
        );
        self.rows(path, (train, Some(test)), Inputs { classes, columns, ..Inputs::default() })
    }
}

fn set(path: &Path, rows: &[Row], columns: &[Column], classes: usize) -> Result<DataSet, Error> {
    let mut values = Vec::with_capacity(rows.len() * columns.len());
    for row in rows {
        for (number, column) in row.input.iter().zip(columns) {
            values.push(column.scaled(*number).map_err(|reason| Error::bad_line(path, row.line, reason))?);
        }
    }
    Ok(DataSet::new(columns.len(), classes, values, rows.iter().map(|row| row.label).collect())?)
}

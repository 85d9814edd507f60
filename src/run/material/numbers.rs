//! An MLP on rows of numbers.

use super::columns::Held;
use super::{Material, Reader};
use crate::run::known::Known;
use crate::run::labelled;
use crate::run::number_set::number_set;
use crate::run::sets::Sets;
use crate::run::{Error, Inputs, examples};
use std::cell::OnceCell;
use std::path::Path;

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
            number_set(Path::new(&data.train_name()), &train, &columns, classes.len())?,
            number_set(Path::new(&data.test_name()), &test, &columns, classes.len())?,
        );
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let known = Known::new(classes);
        let mut also = Vec::with_capacity(data.also.len());
        for (name, path) in &data.also {
            let (rows, warning) = labelled::rows(path, label, &names, &known)?.judged(data.skip_bad_rows)?;
            self.warnings.extend(warning);
            also.push((name.as_str(), number_set(path, &rows, &columns, known.labels.len())?));
        }
        let inputs = Inputs { classes: known.labels, columns, ..Inputs::default() };
        self.rows(path, (train, Some(test), also), inputs)
    }
}

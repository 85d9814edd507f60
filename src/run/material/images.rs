//! An MLP on images in IDX files.

use super::{Material, Reader};
use crate::data::DataSet;
use crate::run::idx::Idx;
use crate::run::sets::several;
use crate::run::{Error, Inputs, TestSet};
use std::path::Path;

impl Reader<'_> {
    pub(super) fn images(self, [values, labels]: [&Path; 2], scale: f64) -> Result<Material, Error> {
        let (train, train_labels) = read(values, labels)?;
        let mut found = [false; 256];
        train_labels.bytes.iter().for_each(|label| found[usize::from(*label)] = true);
        let classes = found.iter().rposition(|found| *found).map_or(0, |most| most + 1);
        if let Some(class) = found[..classes].iter().position(|found| !found) {
            return Err(Error::EmptyClass { path: labels.to_owned(), class: class.to_string() });
        }
        several(labels, &(0..classes).map(|class| class.to_string()).collect::<Vec<_>>())?;
        let set = |values: &Idx, labels: &Idx| -> Result<DataSet, Error> {
            let numbers = values.bytes.iter().map(|byte| (f64::from(*byte) / scale) as f32).collect();
            let labels = labels.bytes.iter().map(|label| u32::from(*label)).collect();
            Ok(DataSet::new(values.width(), classes, numbers, labels)?)
        };
        let test = match &self.run.data.test {
            TestSet::File(values, Some(labels)) => {
                let (tests, test_labels) = read(values, labels)?;
                if tests.sizes[1..] != train.sizes[1..] {
                    let reason =
                        format!("its rows are {:?}, those of the train set {:?}", &tests.sizes[1..], &train.sizes[1..]);
                    return Err(Error::bad_file(values, reason));
                }
                if let Some(label) = test_labels.bytes.iter().find(|label| usize::from(**label) >= classes) {
                    let reason = format!("the label {label} is not in the train set (0 to {})", classes - 1);
                    return Err(Error::bad_file(labels, reason));
                }
                Some(set(&tests, &test_labels)?)
            }
            _ => None,
        };
        let train = set(&train, &train_labels)?;
        self.rows(labels, (train, test, Vec::new()), Inputs { scale: Some(scale), ..Inputs::default() })
    }
}

fn read(values: &Path, labels: &Path) -> Result<(Idx, Idx), Error> {
    let (images, of) = (Idx::read(values)?, Idx::read(labels)?);
    if of.sizes.len() != 1 || of.rows() != images.rows() {
        let reason = format!("its sizes are {:?}: one label for each of {} rows is needed", of.sizes, images.rows());
        return Err(Error::bad_file(labels, reason));
    }
    Ok((images, of))
}

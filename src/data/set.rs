//! A labelled data set.

use super::Error;
use super::split::{split, stratified};

/// Rows of numbers, each with a class.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet {
    inputs: usize,
    classes: usize,
    values: Vec<f32>,
    labels: Vec<u32>,
}

impl DataSet {
    /// `[rows, inputs]` numbers and a label a row.
    ///
    /// # Errors
    /// [`Error::BadSize`], [`Error::BadLabel`].
    pub fn new(inputs: usize, classes: usize, values: Vec<f32>, labels: Vec<u32>) -> Result<DataSet, Error> {
        if inputs == 0 || classes == 0 || labels.is_empty() || values.len() != inputs.saturating_mul(labels.len()) {
            return Err(Error::BadSize { values: values.len(), labels: labels.len(), inputs });
        }
        match labels.iter().position(|label| *label as usize >= classes) {
            Some(row) => Err(Error::BadLabel { row, label: labels[row], classes }),
            None => Ok(DataSet { inputs, classes, values, labels }),
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Numbers a row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The numbers, `[rows, inputs]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The labels.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// A train and a test set: `test_percent` of the rows, drawn by a seed, are the test set.
    ///
    /// # Errors
    /// [`Error::BadSplit`] if either would be empty.
    pub fn split(&self, test_percent: usize, seed: u32) -> Result<(DataSet, DataSet), Error> {
        let (train, test) = split(self.rows(), test_percent, seed)?;
        Ok((self.picked(&train), self.picked(&test)))
    }

    /// The same, with each class in the test set in proportion. A class too rare for one row is in the train set only.
    ///
    /// # Errors
    /// As [`split`](DataSet::split).
    pub fn split_stratified(&self, test_percent: usize, seed: u32) -> Result<(DataSet, DataSet), Error> {
        let (train, test) = stratified(&self.labels, test_percent, seed)?;
        Ok((self.picked(&train), self.picked(&test)))
    }

    /// These rows, in this order.
    pub(crate) fn picked(&self, rows: &[usize]) -> DataSet {
        DataSet {
            inputs: self.inputs,
            classes: self.classes,
            values: rows.iter().flat_map(|row| self.row(*row)).copied().collect(),
            labels: rows.iter().map(|row| self.labels[*row]).collect(),
        }
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.inputs..][..self.inputs]
    }

    /// `rows` rows from `first` on, each padded with zeros to whole vec4s.
    pub(crate) fn padded(&self, first: usize, rows: usize) -> Vec<f32> {
        let width = self.inputs.next_multiple_of(4);
        let mut padded = vec![0.0; rows * width];
        for (place, row) in padded.chunks_exact_mut(width).enumerate() {
            row[..self.inputs].copy_from_slice(self.row(first + place));
        }
        padded
    }
}

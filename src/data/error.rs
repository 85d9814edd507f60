//! What can be wrong with a data set.

/// An error of the data room.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The numbers do not make whole rows, or rows and labels disagree.
    #[error("{values} numbers and {labels} labels do not make rows of {inputs} numbers with a label each")]
    BadSize {
        /// Numbers given.
        values: usize,
        /// Labels given.
        labels: usize,
        /// Numbers a row.
        inputs: usize,
    },
    /// A label that is no class.
    #[error("row {row} has the label {label}, but there are {classes} classes (0 to {})", .classes - 1)]
    BadLabel {
        /// The row.
        row: usize,
        /// Its label.
        label: u32,
        /// Classes there are.
        classes: usize,
    },
    /// A part of a split would be empty.
    #[error("{rows} rows cannot be split with {test_percent} % for the test")]
    BadSplit {
        /// Rows there are.
        rows: usize,
        /// Share of the test set in percent.
        test_percent: usize,
    },
}

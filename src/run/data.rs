//! What a run file says of its data.

use super::{Label, TextColumns};
use crate::data::Embedded;
use crate::schedule::file::raw::Raw;
use std::path::PathBuf;

/// What a run file says of its data.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSpec {
    /// What is trained on.
    pub source: Source,
    /// What is tested on.
    pub test: TestSet,
    /// `also`: files of the same kind that are tested on beside, by name.
    pub also: Vec<(String, PathBuf)>,
    /// `split`: how a part of labelled rows is held out.
    pub split: Split,
    /// `unknown`: what becomes of characters that the vocabulary does not have.
    pub unknown: Unknown,
    /// `skip_bad_rows`: a table is read without the rows that cannot be used.
    pub skip_bad_rows: bool,
    pub(super) raw: Raw,
}

/// How a part of labelled rows is held out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Split {
    /// Each class in its share.
    #[default]
    Stratified,
    /// Any rows.
    Random,
}

/// What becomes of characters that a vocabulary does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unknown {
    /// They are refused.
    #[default]
    Error,
    /// They are left out.
    Skip,
    /// One token stands for all of them: that of [`Vocabulary::UNKNOWN`](crate::data::Vocabulary::UNKNOWN).
    Token,
}

/// What is trained on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// `embedded`: a set that is part of the program.
    Embedded(Embedded),
    /// A text file, for a decoder.
    Text {
        /// `train`.
        train: PathBuf,
        /// `vocabulary: ascii`, the 128 characters of ASCII; else every character that comes.
        ascii: bool,
    },
    /// A table of labelled texts, for an encoder.
    LabelledTexts {
        /// `train`: CSV, TSV or JSON lines.
        train: PathBuf,
        /// What a model reads of a row.
        columns: TextColumns,
        /// What it is to learn.
        label: Label,
    },
    /// A table of numbers with a label each row, for an MLP.
    Numbers {
        /// `train`: CSV, TSV or JSON lines.
        train: PathBuf,
        /// `label`: the column of the labels.
        label: String,
        /// `features`: the columns that go in; without it all but the label's.
        features: Vec<String>,
        /// `standardize`: each column to mean 0 and deviation 1 over the train set. Where nothing is said, as in the run that
        /// is begun from, and else yes.
        standardize: Option<bool>,
        /// `classes`: the labels that there are, in the order of the outputs; without it those of the train set.
        classes: Vec<String>,
    },
    /// IDX files, for an MLP.
    Images {
        /// `train`.
        train: PathBuf,
        /// `train_labels`.
        labels: PathBuf,
        /// `scale`: what every number is divided by.
        scale: f64,
    },
}

/// What is tested on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TestSet {
    /// `test_percent`: so much of the train set, held out.
    Percent(usize),
    /// `test`: a file of the same kind; beside it that of the labels where they have their own.
    File(PathBuf, Option<PathBuf>),
}

impl TestSet {
    /// How much of the train set is held out.
    pub(super) fn percent(&self) -> usize {
        match self {
            TestSet::Percent(percent) => *percent,
            TestSet::File(..) => 0,
        }
    }
}

impl DataSpec {
    /// What the train set is called in messages: its file, or the name of an embedded set.
    pub(super) fn train_name(&self) -> String {
        match &self.source {
            Source::Embedded(set) => set.name().to_owned(),
            Source::Text { train, .. }
            | Source::LabelledTexts { train, .. }
            | Source::Numbers { train, .. }
            | Source::Images { train, .. } => train.display().to_string(),
        }
    }

    /// What the test set is called: its file, or that of the train set where it is a part of it.
    pub(super) fn test_name(&self) -> String {
        match &self.test {
            TestSet::File(path, _) => path.display().to_string(),
            TestSet::Percent(_) => self.train_name(),
        }
    }
}

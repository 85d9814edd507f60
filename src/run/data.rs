//! The section `data` of a run file.

use super::{Label, TextColumns, Wants};
use crate::data::{Augmentation, Embedded};
use crate::schedule::file::raw::Raw;
use std::path::PathBuf;

/// The section `data` of a run file.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSpec {
    /// What is trained on.
    pub source: Source,
    /// What is tested on.
    pub test: TestSet,
    /// `also`: further test sets of the same kind, by name.
    pub also: Vec<(String, PathBuf)>,
    /// `split`: how a part of labelled rows is held out.
    pub split: Split,
    /// `unknown`: what to do with characters outside the vocabulary.
    pub unknown: Unknown,
    /// `skip_bad_rows`: a table is read without the rows that cannot be used.
    pub skip_bad_rows: bool,
    /// `cache`: where what takes long to make of the examples is kept for runs to come.
    pub cache: CacheFolder,
    pub(super) raw: Raw,
}

/// Where what a frozen trunk makes of examples, and unpacked pictures, are kept for runs to come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CacheFolder {
    /// In the user's folder for caches, if the model is a pretrained one.
    #[default]
    Usual,
    /// Nowhere.
    Off,
    /// In this folder.
    At(PathBuf),
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

/// What to do with characters outside a vocabulary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unknown {
    /// They are refused.
    #[default]
    Error,
    /// They are left out.
    Skip,
    /// One token replaces all of them: [`Vocabulary::UNKNOWN`](crate::data::Vocabulary::UNKNOWN).
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
        /// What the model learns.
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
        /// `standardize`: each column to mean 0 and deviation 1 over the train set. By default as in the run of `from`,
        /// else true.
        standardize: Option<bool>,
        /// `classes`: the labels, in the order of the outputs; by default those of the train set.
        classes: Vec<String>,
    },
    /// Pictures with a class each, for a model of pictures.
    Pictures(PictureData),
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

/// Pictures with a class each.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PictureData {
    /// `train`.
    pub train: PathBuf,
    /// What `train` is.
    pub files: PictureFiles,
    /// `classes`: the labels, in the order of the outputs; by default those of the train set.
    pub classes: Vec<String>,
    /// `fit`, `crop_pct`, `interpolation`, `mean` and `std`, and the model's size: how a picture becomes one of the model's.
    pub wants: Wants,
    /// `augmentation`: how pictures are changed for training.
    pub augmentation: Augmentation,
    /// `device_megabytes`, in bytes: larger sets stay in host memory.
    pub device_limit_bytes: Option<u64>,
}

/// Where pictures and their classes are.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PictureFiles {
    /// A folder with a folder for each class.
    Folders,
    /// A table: `image`, the column of their paths, which are relative to the table's folder, and `label`.
    Table {
        /// The column of paths.
        image: String,
        /// The column of classes.
        label: String,
    },
    /// IDX files: `train_labels` is the file of their classes.
    Idx(PathBuf),
    /// `embedded`: a set that is part of the program.
    Embedded(Embedded),
}

/// What is tested on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TestSet {
    /// `test_percent`: so much of the train set, held out.
    Percent(usize),
    /// `test`: a file of the same kind, and the file of its labels, if they have one.
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
            Source::Pictures(pictures) => pictures.train.display().to_string(),
            Source::Text { train, .. }
            | Source::LabelledTexts { train, .. }
            | Source::Numbers { train, .. }
            | Source::Images { train, .. } => train.display().to_string(),
        }
    }

    /// What the test set is called: its file, or that of the train set if it is a part of it.
    pub(super) fn test_name(&self) -> String {
        match &self.test {
            TestSet::File(path, _) => path.display().to_string(),
            TestSet::Percent(_) => self.train_name(),
        }
    }
}

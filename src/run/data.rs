//! The section `data`.

use super::paths::absolute;
use super::{Error, ModelKind, ModelSpec};
use crate::data::{EMBEDDED, Embedded};
use crate::schedule::file::raw::Raw;
use crate::schedule::file::section::Section;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What a run file says of its data.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSpec {
    /// What is trained on.
    pub source: Source,
    /// What is tested on.
    pub test: TestSet,
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
    /// A table of texts with a label each, for an encoder.
    LabelledTexts {
        /// `train`: CSV, TSV or JSON lines.
        train: PathBuf,
        /// `text`: the column of the texts.
        text: String,
        /// `label`: the column of the labels.
        label: String,
        /// `classes`: the labels that there are, in the order of the outputs; without it those of the train set.
        classes: Vec<String>,
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
        /// `classes`, as for texts.
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

/// Sets that are part of the program, by kind of model.
fn embedded(kind: ModelKind) -> impl Iterator<Item = Embedded> {
    EMBEDDED.iter().copied().filter(move |set| match set {
        Embedded::Rows(..) => kind == ModelKind::Mlp,
        Embedded::Text(..) => kind == ModelKind::Decoder,
    })
}

/// Percent of the train set that are held out where nothing is said.
const TEST_PERCENT: u64 = 10;

impl DataSpec {
    /// Reads the section; files stand relative to `folder`.
    pub(super) fn read(section: Section, model: &ModelSpec, folder: &Path) -> Result<DataSpec, Error> {
        let kind = model.kind;
        let reading = Reading { raw: Raw::default(), section, folder, begins_anew: model.from.is_none() };
        if reading.section.has("embedded") {
            return reading.embedded(kind);
        }
        match kind {
            ModelKind::Decoder => reading.text(),
            ModelKind::Encoder => reading.labelled_texts(),
            ModelKind::Mlp if reading.section.has("train_labels") => reading.images(),
            ModelKind::Mlp => reading.numbers(),
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

/// A section that is being read.
struct Reading<'a> {
    section: Section,
    raw: Raw,
    folder: &'a Path,
    /// Whether the model does not begin from another.
    begins_anew: bool,
}

impl Reading<'_> {
    fn embedded(mut self, kind: ModelKind) -> Result<DataSpec, Error> {
        let known: Vec<&str> = embedded(kind).map(|set| set.name()).collect();
        if kind == ModelKind::Encoder {
            let instead = "none of the embedded sets is one of labelled texts: give train, text and label";
            return Err(self.section.misplaced("embedded", instead).into());
        }
        if EMBEDDED.is_empty() {
            let instead = "this program was built without the embedded sets, the feature demo: give train";
            return Err(self.section.misplaced("embedded", instead).into());
        }
        self.section.only(match kind {
            ModelKind::Mlp => &["embedded", "test_percent", "split"],
            _ => &["embedded", "test_percent", "unknown"],
        })?;
        let name = self.section.word("embedded", &known)?;
        match embedded(kind).find(|set| set.name() == name) {
            Some(set) => self.done(Source::Embedded(set), kind),
            None => Err(self.section.missing(&["embedded"]).into()),
        }
    }

    fn text(mut self) -> Result<DataSpec, Error> {
        self.section.only(&["embedded", "train", "test", "test_percent", "vocabulary", "unknown"])?;
        let vocabulary = self.section.word_or_first("vocabulary", &["texts", "ascii"])?;
        let train = self.file("train")?;
        self.done(Source::Text { train, ascii: vocabulary == "ascii" }, ModelKind::Decoder)
    }

    fn labelled_texts(mut self) -> Result<DataSpec, Error> {
        self.section.only(&[
            "train",
            "test",
            "test_percent",
            "split",
            "text",
            "label",
            "classes",
            "unknown",
            "skip_bad_rows",
        ])?;
        let train = self.file("train")?;
        let (text, label) = (self.section.text("text")?, self.section.text("label")?);
        if text == label {
            return Err(self.section.bad("text", text, "another column than the label's", None).into());
        }
        let classes = self.names("classes")?;
        self.done(Source::LabelledTexts { train, text, label, classes }, ModelKind::Encoder)
    }

    fn numbers(mut self) -> Result<DataSpec, Error> {
        self.section.only(&[
            "embedded",
            "train",
            "test",
            "test_percent",
            "split",
            "label",
            "features",
            "standardize",
            "classes",
            "skip_bad_rows",
            "train_labels",
        ])?;
        let (train, label) = (self.file("train")?, self.section.text("label")?);
        let (features, classes) = (self.names("features")?, self.names("classes")?);
        if features.contains(&label) {
            let allowed = "a column that may go in: it is the label, and a model that sees it has nothing to learn";
            return Err(self.section.bad("features", label, allowed, None).into());
        }
        let standardize = match self.section.has("standardize") || self.begins_anew {
            true => Some(self.section.truth("standardize", true)?),
            false => None,
        };
        self.done(Source::Numbers { train, label, features, standardize, classes }, ModelKind::Mlp)
    }

    fn images(mut self) -> Result<DataSpec, Error> {
        self.section.only(&["train", "train_labels", "test", "test_labels", "test_percent", "split", "scale"])?;
        let (train, labels) = (self.file("train")?, self.file("train_labels")?);
        let scale = self.section.number("scale", 255.0)?;
        if !scale.is_finite() || scale <= 0.0 {
            return Err(self.section.bad("scale", scale.to_string(), "a number above 0", None).into());
        }
        self.done(Source::Images { train, labels, scale }, ModelKind::Mlp)
    }

    /// A list of names, each once; numbers are names too.
    fn names(&mut self, key: &'static str) -> Result<Vec<String>, Error> {
        let names: Vec<String> = self.section.scalars(key)?.iter().map(|name| name.trim().to_owned()).collect();
        let mut seen = HashSet::new();
        match names.iter().find(|name| !seen.insert(name.as_str())) {
            Some(twice) => Err(self.section.unfit(key, twice, "is there twice").into()),
            None => Ok(names),
        }
    }

    /// A file that has to be named; absolute in what is written down.
    fn file(&mut self, key: &'static str) -> Result<PathBuf, Error> {
        let path = self.folder.join(self.section.text(key)?);
        self.raw = std::mem::take(&mut self.raw).with(key, absolute(&path));
        Ok(path)
    }

    /// The test set, and the keys that several kinds of data have.
    fn done(mut self, source: Source, kind: ModelKind) -> Result<DataSpec, Error> {
        let test = self.test_set(&source)?;
        let mut split = Split::default();
        if kind != ModelKind::Decoder && matches!(test, TestSet::Percent(_)) {
            let word = self.section.word_or_first("split", &["stratified", "random"])?;
            split = if word == "random" { Split::Random } else { Split::Stratified };
        }
        let mut unknown = Unknown::default();
        if kind != ModelKind::Mlp {
            let word = self.section.word_or_first("unknown", &["error", "skip", "token"])?;
            unknown = match word {
                "skip" => Unknown::Skip,
                "token" => Unknown::Token,
                _ => Unknown::Error,
            };
        }
        let mut skip_bad_rows = false;
        if matches!(source, Source::LabelledTexts { .. } | Source::Numbers { .. }) {
            skip_bad_rows = self.section.flag("skip_bad_rows")?;
        }
        // Files stand there as they were found.
        let raw = self.section.said().with_all(self.raw);
        Ok(DataSpec { source, test, split, unknown, skip_bad_rows, raw })
    }

    fn test_set(&mut self, source: &Source) -> Result<TestSet, Error> {
        let percent = self.section.count("test_percent")?;
        if self.section.has("test") {
            for (key, is_there) in [("test_percent", percent.is_some()), ("split", self.section.has("split"))] {
                if is_there {
                    return Err(self
                        .section
                        .misplaced(key, "it stands beside test, which names a file; keep one of them")
                        .into());
                }
            }
            let labels = matches!(source, Source::Images { .. }).then(|| self.file("test_labels")).transpose()?;
            return Ok(TestSet::File(self.file("test")?, labels));
        }
        if self.section.has("test_labels") {
            return Err(self.section.missing(&["test"]).into());
        }
        let percent = percent.unwrap_or_else(|| self.section.say("test_percent", TEST_PERCENT));
        if !(1..=99).contains(&percent) {
            return Err(self.section.bad("test_percent", percent.to_string(), "from 1 to 99", None).into());
        }
        Ok(TestSet::Percent(percent as usize))
    }
}

//! The section `data`.

mod pictures;

use super::paths::absolute;
use super::{
    CacheFolder, DataSpec, Error, Label, ModelKind, ModelSpec, PictureFiles, Source, Split, TestSet, TextColumns,
    Unknown,
};
use crate::data::{EMBEDDED, Embedded};
use crate::nn::Objective;
use crate::schedule::class::Value as Argument;
use crate::schedule::file::raw::Raw;
use crate::schedule::file::section::Section;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The default separator of a text's labels.
const SEPARATOR: &str = "|";

/// What metrics begin with already.
const TAKEN: [&str; 3] = ["train", "val", "test"];

/// Ways to hold a part of labelled rows out.
const SPLITS: [&str; 2] = ["stratified", "random"];

/// Sets that are part of the program, by kind of model.
fn embedded(kind: ModelKind) -> impl Iterator<Item = Embedded> {
    EMBEDDED.iter().copied().filter(move |set| match set {
        Embedded::Rows(..) => kind == ModelKind::Mlp,
        Embedded::Text(..) => kind == ModelKind::Decoder,
        Embedded::Pictures(..) => kind.reads_pictures(),
    })
}

/// The default percent of the train set that is held out.
const TEST_PERCENT: u64 = 10;

impl DataSpec {
    /// Reads the section; paths are relative to `folder`.
    pub(super) fn read(
        section: Section,
        (model, objective): (&ModelSpec, Objective),
        folder: &Path,
    ) -> Result<DataSpec, Error> {
        let kind = model.kind;
        let begins_anew = model.from.is_none();
        let mut reading = Reading { raw: Raw::default(), section, folder, begins_anew, splits: &SPLITS };
        if reading.section.has("embedded") && !kind.reads_pictures() {
            return reading.embedded(kind);
        }
        match kind {
            ModelKind::Decoder => reading.text(),
            ModelKind::Encoder => {
                // Without classes nothing can be held out in proportion.
                reading.splits = if objective == Objective::Classes { &SPLITS } else { &SPLITS[1..] };
                reading.labelled_texts(objective)
            }
            ModelKind::ResNet | ModelKind::EfficientNetLite | ModelKind::Vit => reading.pictures(model),
            ModelKind::Mlp if reading.section.has("train_labels") => reading.images(),
            ModelKind::Mlp => reading.numbers(),
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
    /// Ways to hold a part out.
    splits: &'static [&'static str],
}

impl Reading<'_> {
    fn embedded(mut self, kind: ModelKind) -> Result<DataSpec, Error> {
        if kind == ModelKind::Encoder {
            let instead = "no embedded set has labelled texts: give train, text and label";
            return Err(self.section.misplaced("embedded", instead).into());
        }
        let set = self.embedded_set(kind)?;
        self.section.only(match kind {
            ModelKind::Mlp => &["embedded", "test_percent", "split"],
            _ => &["embedded", "test_percent", "unknown", "cache"],
        })?;
        self.done(Source::Embedded(set), kind)
    }

    /// The set that is named.
    fn embedded_set(&mut self, kind: ModelKind) -> Result<Embedded, Error> {
        let known: Vec<&str> = embedded(kind).map(|set| set.name()).collect();
        if known.is_empty() {
            let instead = "this program was built without the embedded sets, the feature demo: give train";
            return Err(self.section.misplaced("embedded", instead).into());
        }
        let name = self.section.word("embedded", &known)?;
        let set = embedded(kind).find(|set| set.name() == name);
        set.ok_or_else(|| self.section.missing(&["embedded"]).into())
    }

    fn text(mut self) -> Result<DataSpec, Error> {
        self.section.only(&["embedded", "train", "test", "test_percent", "also", "vocabulary", "unknown", "cache"])?;
        let vocabulary = self.section.word_or_first("vocabulary", &["texts", "ascii"])?;
        let train = self.file("train")?;
        self.done(Source::Text { train, ascii: vocabulary == "ascii" }, ModelKind::Decoder)
    }

    fn labelled_texts(mut self, objective: Objective) -> Result<DataSpec, Error> {
        self.section.only(&[
            "train",
            "test",
            "test_percent",
            "also",
            "split",
            "text",
            "text_pair",
            "features",
            "label",
            "labels",
            "label_separator",
            "classes",
            "unknown",
            "skip_bad_rows",
            "cache",
        ])?;
        let train = self.file("train")?;
        let (text, pair) = (self.section.text("text")?, self.section.maybe_text("text_pair")?);
        let label = self.label(objective)?;
        if label.columns().contains(&text) {
            return Err(self.section.bad("text", text, "another column than the label's", None).into());
        }
        if let Some(pair) = pair.as_ref().filter(|pair| label.columns().contains(pair) || **pair == text) {
            return Err(self
                .section
                .bad("text_pair", pair.clone(), "another column than the label's or text's", None)
                .into());
        }
        let features = self.names("features")?;
        self.no_label_among(&features, label.columns())?;
        if let Some(text) = features.iter().find(|name| **name == text || pair.as_ref() == Some(name)) {
            return Err(self.section.unfit("features", text, "is already the text").into());
        }
        let columns = TextColumns { text, pair, features };
        self.done(Source::LabelledTexts { train, columns, label }, ModelKind::Encoder)
    }

    /// What is learnt of texts.
    fn label(&mut self, objective: Objective) -> Result<Label, Error> {
        let several = self.names("labels")?;
        for key in ["label", "classes", "label_separator"] {
            if !several.is_empty() && self.section.has(key) {
                return Err(self.section.beside(key, self.section.shown_at(key), "labels").into());
            }
        }
        let separator = self.section.maybe_text("label_separator")?;
        match (objective, &separator) {
            (Objective::Labels, Some(separator)) if separator.trim().is_empty() => {
                let allowed = "a separator that is not blank";
                return Err(self.section.bad("label_separator", separator.clone(), allowed, None).into());
            }
            (Objective::Classes | Objective::Numbers, Some(_)) => {
                let instead = "it goes with task: multi_label, where a column holds several labels";
                return Err(self.section.misplaced("label_separator", instead).into());
            }
            _ => {}
        }
        match objective {
            Objective::Classes if !several.is_empty() => {
                let instead = "several labels go with task: multi_label or task: regress; for one class each: label";
                Err(self.section.misplaced("labels", instead).into())
            }
            Objective::Classes => {
                Ok(Label::Class { column: self.section.text("label")?, classes: self.names("classes")? })
            }
            Objective::Labels if !several.is_empty() => Ok(Label::Marks(several)),
            Objective::Labels => Ok(Label::Names {
                column: self.section.text("label")?,
                separator: separator.unwrap_or_else(|| self.section.say("label_separator", SEPARATOR.to_owned())),
                classes: self.names("classes")?,
            }),
            Objective::Numbers if self.section.has("classes") => {
                Err(self.section.misplaced("classes", "task: regress predicts numbers and has no classes").into())
            }
            Objective::Numbers if !several.is_empty() => Ok(Label::Numbers(several)),
            Objective::Numbers => Ok(Label::Numbers(vec![self.section.text("label")?])),
        }
    }

    fn no_label_among(&self, features: &[String], labels: &[String]) -> Result<(), Error> {
        let allowed = "an input column: it is the label, which the model must not see";
        match labels.iter().find(|label| features.contains(label)) {
            Some(label) => Err(self.section.bad("features", label.clone(), allowed, None).into()),
            None => Ok(()),
        }
    }

    fn numbers(mut self) -> Result<DataSpec, Error> {
        self.section.only(&[
            "embedded",
            "train",
            "test",
            "test_percent",
            "also",
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
        self.no_label_among(&features, std::slice::from_ref(&label))?;
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
            Some(twice) => Err(self.section.unfit(key, twice, "occurs twice").into()),
            None => Ok(names),
        }
    }

    /// A file that must be named; absolute in what is written down.
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
            let word = self.section.word_or_first("split", self.splits)?;
            split = if word == "random" { Split::Random } else { Split::Stratified };
        }
        let mut unknown = Unknown::default();
        if kind.reads_texts() {
            let word = self.section.word_or_first("unknown", &["error", "skip", "token"])?;
            unknown = match word {
                "skip" => Unknown::Skip,
                "token" => Unknown::Token,
                _ => Unknown::Error,
            };
        }
        let mut skip_bad_rows = false;
        if matches!(source, Source::LabelledTexts { .. } | Source::Numbers { .. } | Source::Pictures(_)) {
            skip_bad_rows = self.section.flag("skip_bad_rows")?;
        }
        let cache = if kind == ModelKind::Mlp { CacheFolder::Usual } else { self.cache()? };
        let also = self.also()?;
        // Paths in it are as found.
        let raw = self.section.said().with_all(self.raw);
        Ok(DataSpec { source, test, also, split, unknown, skip_bad_rows, cache, raw })
    }

    /// A folder, or whether there is one.
    fn cache(&mut self) -> Result<CacheFolder, Error> {
        const KEY: &str = "cache";
        if self.section.peek(KEY).is_some() {
            return Ok(CacheFolder::At(self.file(KEY)?));
        }
        self.section.forget_nulls(&[KEY]);
        let has = self.section.has(KEY);
        let is_on = self.section.truth(KEY, true)?;
        if !has {
            self.section.unsay(KEY);
        }
        Ok(if is_on { CacheFolder::Usual } else { CacheFolder::Off })
    }

    /// Further test sets. A name is the prefix of a score: `old_loss`.
    fn also(&mut self) -> Result<Vec<(String, PathBuf)>, Error> {
        let mut also: Vec<(String, PathBuf)> = Vec::new();
        for (name, file) in self.section.arguments("also")?.iter() {
            let key = format!("also.{name}");
            let is_word = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
            if !is_word || name.is_empty() || TAKEN.contains(&name) {
                let allowed = format!("a name of letters, digits and _, and none of {}", TAKEN.join(", "));
                return Err(self.section.bad("also", name.to_owned(), &allowed, None).into());
            }
            let Argument::Text(file) = file else {
                return Err(self.section.unfit(&key, "its value", "is not a file").into());
            };
            let path = self.folder.join(file);
            also.push((name.to_owned(), path));
        }
        if !also.is_empty() {
            let written =
                also.iter().fold(Raw::default(), |files, (name, path)| files.with(name.as_str(), absolute(path)));
            self.raw = std::mem::take(&mut self.raw).with("also", written);
        }
        Ok(also)
    }

    fn test_set(&mut self, source: &Source) -> Result<TestSet, Error> {
        let percent = self.section.count("test_percent")?;
        if self.section.has("test") {
            for (key, is_there) in [("test_percent", percent.is_some()), ("split", self.section.has("split"))] {
                if is_there {
                    return Err(self.section.misplaced(key, "test names a file; keep one of them").into());
                }
            }
            let is_idx = match source {
                Source::Images { .. } => true,
                Source::Pictures(pictures) => matches!(pictures.files, PictureFiles::Idx(_)),
                _ => false,
            };
            let test = self.file("test")?;
            // Pictures may be tested on in folders of their classes, which have no file of labels.
            let has_folders = test.is_dir() && matches!(source, Source::Pictures(_));
            if has_folders && self.section.has("test_labels") {
                return Err(self.section.misplaced("test_labels", "test names a folder; keep one of them").into());
            }
            let labels = (is_idx && !has_folders).then(|| self.file("test_labels")).transpose()?;
            return Ok(TestSet::File(test, labels));
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

//! A trained model, and how it reads new rows.

use super::asked::Asked;
use super::examples;
use super::inputs::{INPUTS, Inputs};
use super::known::Known;
use super::labelled::{self, whole};
use super::number_set::{NumberRow, number_set};
use super::pretrained_folder::CONFIG;
use super::text_set::{Target, TextRows, TextSets, sequence_sizes};
use super::texts::{Label, TextColumns};
use super::weights::{Begun, Kept, Weights};
use super::{Error, PictureData, PictureFiles, PictureFolder, ReadOptions, RunFile, Source, Unknown, tokenizer};
use crate::data::{Embedded, Sequences, Tokenizer, Told, UnknownCharacters, Vocabulary};
use crate::nn::{Model, Network, Objective};
use crate::params::{shown_path, tame_line};
use crate::train::{Classify, ClassifyPictures, ClassifySequences, Questions, Task, files};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A model that has been trained: that of a run, or of a Hugging Face folder.
pub struct Trained {
    run: RunFile,
    inputs: Inputs,
    weights: PathBuf,
    model: Model,
    reads: Reads,
    /// Whether it tells labels.
    has_head: bool,
}

/// What a model reads.
enum Reads {
    Texts { columns: TextColumns, label: Label, tokenizer: Tokenizer },
    Numbers { label: String },
    Pictures(PictureData),
}

/// Rows that a model can be asked about, or be tested on.
#[derive(Debug)]
#[non_exhaustive]
pub struct Read<T> {
    /// The rows.
    pub rows: T,
    /// How many there are.
    pub count: usize,
    /// What their owner should know.
    pub warnings: Vec<String>,
}

/// The file that describes a run.
pub(super) const RUN: &str = "run.yaml";

impl Trained {
    /// The model of the run in a folder: what it ended with, or the `best` of its evaluations.
    ///
    /// # Errors
    /// [`Error`] for a folder without a run, and for a run whose model tells no labels of rows.
    pub fn of_run(folder: &Path, best: bool) -> Result<Trained, Error> {
        let path = folder.join(RUN);
        let (run, inputs) = (RunFile::of_run(&path, folder, &[])?, Inputs::of_run(folder)?);
        let weights = if best { folder.join("best.safetensors") } else { folder.to_owned() };
        let (model, reads): (Model, Reads) = match &run.data.source {
            Source::LabelledTexts { columns, label, .. } => {
                let tokenizer = of_inputs(&run, &inputs, folder)?;
                let model = run.model.labelled(tokenizer.vocabulary_size(), run.head(&inputs))?;
                (model, Reads::Texts { columns: columns.clone(), label: label.clone(), tokenizer })
            }
            Source::Numbers { label, .. } => {
                let model = run.model.mlp(inputs.columns.len(), inputs.classes.len())?;
                (model.into(), Reads::Numbers { label: label.clone() })
            }
            Source::Pictures(pictures) => {
                (run.model.of_classes(inputs.classes.len())?, Reads::Pictures(pictures.clone()))
            }
            Source::Text { .. } | Source::Embedded(Embedded::Text(..)) => {
                let reason = "its model is a decoder, which has no labels; gradus generate continues texts with it";
                return Err(Error::bad_file(&path, reason));
            }
            _ => {
                let reason = "it was trained on images or an embedded set, whose columns have no names";
                return Err(Error::bad_file(&path, reason));
            }
        };
        Ok(Trained { run, inputs, weights, model, reads, has_head: true })
    }

    /// The model of a Hugging Face folder, for texts in this column. It predicts the labels of its `config.json`;
    /// without labels it only has vectors.
    ///
    /// # Errors
    /// [`Error`] naming the file.
    pub fn of_pretrained(folder: &Path, text: &str) -> Result<Trained, Error> {
        if let Some(found) = PictureFolder::find(folder)? {
            return Trained::of_pretrained_pictures(folder, &found);
        }
        let word = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let (from, config) = (word(folder), folder.join(CONFIG));
        let said = files::read_text(&config).map_err(|error| Error::unreadable(&config, &error))?;
        let said: Value = serde_json::from_str(&said).map_err(|error| Error::bad_file(&config, error.to_string()))?;
        let task = match said["problem_type"].as_str() {
            Some("multi_label_classification") => "multi_label",
            Some("regression") => "regress",
            _ => "classify",
        };
        let (from, text) = (quoted(&from.to_string_lossy()), quoted(text));
        let run = format!(
            "model: {{from: {from}}}\ntask: {task}\nepochs: 3\nlearning_rate: auto\ndata: {{train: none.csv, text: {text}, label: {}}}\n",
            quoted(if text == "\"label\"" { "labels" } else { "label" })
        );
        let run = RunFile::parse(&config.display().to_string(), &run, (Path::new(""), "none"), &[])?;
        let (Some(pretrained), Source::LabelledTexts { columns, label, .. }) =
            (&run.model.pretrained, &run.data.source)
        else {
            return Err(Error::bad_file(folder, format!("there is no {CONFIG} of a model in it")));
        };
        let tokenizer = match tokenizer::beside(folder)? {
            Some(tokenizer) => tokenizer::fitting(tokenizer, pretrained)?,
            None => return Err(tokenizer::missing(pretrained)),
        };
        let (classes, has_head) = match pretrained.model.labels.clone() {
            labels if labels.is_empty() => (vec![String::new()], false),
            labels => (labels, true),
        };
        let inputs = Inputs { classes, ..Inputs::default() };
        let model = run.model.labelled(tokenizer.vocabulary_size(), run.head(&inputs))?;
        let reads = Reads::Texts { columns: columns.clone(), label: label.clone(), tokenizer };
        Ok(Trained { inputs, weights: folder.to_owned(), model, reads, has_head, run })
    }

    /// The model of pictures in a folder. Classes without names are numbers; without classes it only has vectors.
    fn of_pretrained_pictures(folder: &Path, found: &PictureFolder) -> Result<Trained, Error> {
        let from = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let from = serde_json::to_string(&from.to_string_lossy()).unwrap_or_default();
        let run = format!("model: {{from: {from}}}\nepochs: 3\nlearning_rate: auto\ndata: {{train: none}}\n");
        let name = folder.join(CONFIG).display().to_string();
        let run = RunFile::parse(&name, &run, (Path::new(""), "none"), &[])?;
        let Source::Pictures(data) = run.data.source.clone() else {
            return Err(Error::bad_file(folder, format!("there is no {CONFIG} of a model of pictures in it")));
        };
        let numbers = || (0..found.model.classes.unwrap_or(0)).map(|class| class.to_string()).collect();
        let classes: Vec<String> = if found.model.labels.is_empty() { numbers() } else { found.model.labels.clone() };
        let has_head = !classes.is_empty();
        let classes = if has_head { classes } else { vec![String::new()] };
        let inputs = Inputs { classes, ..Inputs::default() };
        let model = run.model.of_classes(inputs.classes.len())?;
        let reads = Reads::Pictures(data);
        Ok(Trained { run, inputs, weights: folder.to_owned(), model, reads, has_head })
    }

    /// Whether a folder holds a run.
    pub fn is_run(folder: &Path) -> bool {
        folder.join(RUN).exists()
    }

    /// The run's file.
    pub fn run(&self) -> &RunFile {
        &self.run
    }

    /// What is learnt.
    pub fn objective(&self) -> Objective {
        self.run.objective
    }

    /// The names of the outputs, in order; none if it only has vectors.
    pub fn outputs(&self) -> &[String] {
        if self.has_head { &self.inputs.classes } else { &[] }
    }

    /// The separator of several labels.
    pub fn separator(&self) -> &str {
        match &self.reads {
            Reads::Texts { label: Label::Names { separator, .. }, .. } => separator,
            _ => "|",
        }
    }

    /// Whether it reads pictures: what it is asked about is [`pictures`](Trained::pictures) then.
    pub fn reads_pictures(&self) -> bool {
        matches!(self.reads, Reads::Pictures(_))
    }

    /// Pictures to predict, and their names: a file, a folder, or a table of paths. `told` is called with the progress of reading.
    ///
    /// # Errors
    /// [`Error`] naming the files that cannot be read, unless it `skips` them and one is left. [`Error::BadFile`] if the model reads
    /// something else.
    pub fn pictures(&self, path: &Path, skips: bool, told: Told<'_>) -> Result<(Vec<String>, Read<Questions>), Error> {
        let Reads::Pictures(data) = &self.reads else {
            return Err(Error::bad_file(path, "the model reads no pictures"));
        };
        let examples = data.asked(path, ReadOptions::telling(told))?;
        let (rows, warning) = if skips { examples.judged(true)? } else { (whole(examples)?, None) };
        let names = rows.iter().map(|row| row.label.clone()).collect();
        let rows: Vec<_> = rows.into_iter().map(|row| row.labelled(|_| 0)).collect();
        let set = data.set(&rows, self.inputs.classes.len())?;
        Ok((names, Read { rows: Questions::Pictures(set), count: rows.len(), warnings: warning.into_iter().collect() }))
    }

    /// The size of the vector of a text or a picture; `None` for rows of numbers.
    pub fn vector_width(&self) -> Option<usize> {
        self.model.vector_width()
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Its values.
    ///
    /// # Errors
    /// [`Error`] for a file that is not there, or does not fit the model.
    pub fn values(&self) -> Result<Vec<(String, Vec<f32>)>, Error> {
        let all = Kept { outputs: true, tables: (&[], None) };
        let Begun { values, new, .. } =
            Weights::find(&self.weights)?.values(&self.model, self.model.initial(0), &all)?;
        match new.first() {
            None => Ok(values),
            _ if !self.has_head => Ok(values),
            Some(missing) => Err(Error::bad_file(&self.weights, format!("{missing} is missing in it"))),
        }
    }

    /// Rows to predict; they may have labels. `told` is called with the progress of tokenizing.
    ///
    /// # Errors
    /// [`Error`] naming line and column: every row must be readable.
    pub fn questions(&self, asked: &Asked, told: Told<'_>) -> Result<Read<Questions>, Error> {
        match &self.reads {
            Reads::Texts { columns, tokenizer, .. } => {
                let outputs = self.inputs.classes.len();
                let rows = whole(columns.unlabelled(asked.table(&columns.text)?)?)?;
                let target = || match self.run.objective {
                    Objective::Classes => Target::Class(0),
                    _ => Target::Numbers(vec![0.0; outputs]),
                };
                let rows = rows.into_iter().map(|row| row.labelled(|()| target())).collect();
                let Read { rows, count, warnings } = self.sequences(tokenizer, &rows, asked.name(), told)?;
                Ok(Read { rows: Questions::Sequences(rows), count, warnings })
            }
            Reads::Numbers { .. } => {
                let names: Vec<String> = self.inputs.columns.iter().map(|column| column.name.clone()).collect();
                let rows = whole(examples::unlabelled_numbers(asked.table("")?, &names)?)?;
                let rows: Vec<NumberRow> = rows.into_iter().map(|row| row.labelled(|()| 0)).collect();
                let set = number_set(asked.name(), &rows, &self.inputs.columns, self.inputs.classes.len())?;
                Ok(Read { rows: Questions::Rows(set), count: rows.len(), warnings: Vec::new() })
            }
            // Not rows that were read already.
            Reads::Pictures(_) => Err(Error::bad_file(asked.name(), "the model reads pictures, not rows")),
        }
    }

    /// Labelled rows of a file, as what the model is tested on; `labels` is the file of the labels of pictures in IDX files.
    ///
    /// # Errors
    /// As [`questions`](Trained::questions), for labels that it was not trained on, and for `labels` that belong to no IDX file.
    pub fn test(&self, path: &Path, labels: Option<&Path>, told: Told<'_>) -> Result<Read<Box<dyn Task>>, Error> {
        let known = Known::new(self.inputs.classes.clone());
        if let Some(labels) = labels.filter(|_| path.is_dir() || !self.reads_pictures()) {
            return Err(Error::bad_file(labels, "a file of labels belongs to pictures in an IDX file"));
        }
        match &self.reads {
            Reads::Texts { columns, label, tokenizer } => {
                let rows = whole(labelled::texts(path, columns, label, &known)?)?;
                let Read { rows, count, warnings } = self.sequences(tokenizer, &rows, path, told)?;
                let task = ClassifySequences::new(&self.model, (&rows, &rows))?.starting_from(self.values()?);
                Ok(Read { rows: Box::new(task), count, warnings })
            }
            Reads::Numbers { label } => {
                let names: Vec<String> = self.inputs.columns.iter().map(|column| column.name.clone()).collect();
                let rows = whole(labelled::rows(path, label, &names, &known)?)?;
                let set = number_set(path, &rows, &self.inputs.columns, self.inputs.classes.len())?;
                let model = self.run.model.mlp(names.len(), known.labels.len())?;
                let task = Classify::new(&model, (&set, &set))?.starting_from(self.values()?);
                Ok(Read { rows: Box::new(task), count: rows.len(), warnings: Vec::new() })
            }
            Reads::Pictures(data) => {
                if labels.is_none() && path.is_file() && matches!(data.files, PictureFiles::Idx(_)) {
                    return Err(Error::bad_file(
                        path,
                        "pictures in an IDX file have a file of labels, which is missing",
                    ));
                }
                let rows = whole(labelled::pictures((path, labels), data, &known, ReadOptions::telling(told))?)?;
                let set = data.set(&rows, known.labels.len())?;
                let task = ClassifyPictures::new(self.model.clone(), (&set, &set))?.starting_from(self.values()?);
                Ok(Read { rows: Box::new(task), count: rows.len(), warnings: Vec::new() })
            }
        }
    }

    fn sequences(
        &self,
        tokenizer: &Tokenizer,
        rows: &TextRows,
        path: &Path,
        told: Told<'_>,
    ) -> Result<Read<Sequences>, Error> {
        let (sizes, features) = (sequence_sizes(&self.run, &self.model), &self.inputs.columns);
        let mut sets = TextSets { tokenizer, sizes, features, told, cut: 0, unseen: Vec::new() };
        let (encoded, unknown) = sets.encoded(rows)?;
        let set = sets.set(rows, encoded, &path.display().to_string())?;
        let file = shown_path(path);
        let warnings = [left_out(&file, &unknown), sets.told_of_cut(rows.len()), sets.told_of_unseen(&file)];
        Ok(Read { rows: set, count: rows.len(), warnings: warnings.into_iter().flatten().collect() })
    }
}

/// The run's tokens, beside its inputs.
pub(super) fn of_inputs(run: &RunFile, inputs: &Inputs, folder: &Path) -> Result<Tokenizer, Error> {
    if let Some(tokenizer) = inputs.tokenizer(folder)? {
        return Ok(tokenizer);
    }
    let Some(vocabulary) = inputs.vocabulary()? else {
        return Err(Error::bad_file(&folder.join(INPUTS), "it has neither characters nor a tokenizer"));
    };
    let unknown = (run.data.unknown == Unknown::Token).then(|| vocabulary.token(Vocabulary::UNKNOWN)).flatten();
    Ok(Tokenizer::characters(vocabulary, unknown))
}

/// A line about characters that were left out of a file, if any.
pub(super) fn left_out(file: &str, unknown: &UnknownCharacters) -> Option<String> {
    let told = || format!("{}: characters that the model does not know: {unknown}", tame_line(file));
    (!unknown.is_empty()).then(told)
}

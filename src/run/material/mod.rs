//! What a run is about, read from disk: model and data, as a task for the trainer.

mod columns;
mod images;
mod labelled_texts;
mod numbers;
mod pictures;
mod text;

use super::inputs::INPUTS;
use super::sets::split;
use super::tokenizer;
use super::weights::{Begun, Kept, Values, Weights, modules};
use super::{Error, Inputs, ReadOptions, RunFile, Source, Unknown};
use crate::data::{DataSet, Embedded, Pictures, Tokenizer, UnknownCharacters, Vocabulary};
use crate::nn::{Model, Network, Objective};
use crate::params::{Param, shown_path, tame_line};
use crate::train::{Classify, Task};
use std::path::{Path, PathBuf};

/// A task and what belongs to it.
#[non_exhaustive]
pub struct Material {
    /// Model and data.
    pub task: Box<dyn Task>,
    /// The model.
    pub model: Model,
    /// How a user's data becomes the model's.
    pub inputs: Inputs,
    /// What it is, in a line.
    pub summary: String,
    /// The tokenizer, if the model reads tokens.
    pub tokenizer: Option<Tokenizer>,
    /// What a row is counted in, and how many of them it has: rows, or tokens.
    pub units: (&'static str, usize),
    /// The pictures that are tested on, of a model of pictures.
    pub pictures: Option<Pictures>,
    /// What was done to the data that its owner should know.
    pub warnings: Vec<String>,
}

impl Material {
    /// Reads model and data.
    ///
    /// # Errors
    /// [`Error`] naming the file, and line, column and value if there are some.
    pub fn read(run: &RunFile) -> Result<Material, Error> {
        Material::begin(run, true, ReadOptions::new())
    }

    /// Reads the data, but only names and shapes of `model.from`, which is enough for a plan. The task begins with
    /// initial values.
    ///
    /// # Errors
    /// As [`read`](Material::read), except for values.
    pub fn to_plan(run: &RunFile) -> Result<Material, Error> {
        Material::begin(run, false, ReadOptions::new())
    }

    /// Reads model and data for a run that continues in this folder. Its inputs are those that it began with, and its values
    /// come from its checkpoint: what it began from need not be there any more.
    ///
    /// # Errors
    /// As [`read`](Material::read), and [`Error::Changed`] for data that is not what the run began with: to continue would be
    /// another run.
    pub fn of_run(run: &RunFile, folder: &Path) -> Result<Material, Error> {
        Material::read_as(run, Some(folder), ReadOptions::new())
    }

    /// Reads model and data for a run that begins, or that continues in a folder, in this way.
    ///
    /// # Errors
    /// As [`read`](Material::read) and [`of_run`](Material::of_run).
    pub fn read_as(run: &RunFile, goes_on_in: Option<&Path>, options: ReadOptions<'_>) -> Result<Material, Error> {
        match goes_on_in {
            Some(folder) => Material::going_on(run, folder, options),
            None => Material::begin(run, true, options),
        }
    }

    fn begin(run: &RunFile, reads_values: bool, options: ReadOptions<'_>) -> Result<Material, Error> {
        if let Some(begun) = run.begun()? {
            return Material::begin(&begun, reads_values, options);
        }
        let weights = run.model.from.as_deref().map(Weights::find).transpose()?;
        let earlier = weights.as_ref().and_then(|weights| weights.inputs.clone());
        Material::read_with(Reader { run, earlier, weights, reads_values, options, warnings: Vec::new() })
    }

    fn going_on(run: &RunFile, folder: &Path, options: ReadOptions<'_>) -> Result<Material, Error> {
        let began = Inputs::of_run(folder)?;
        let changed = |what| Error::Changed { folder: folder.to_owned(), what };
        let earlier = Some((folder.join(INPUTS), began.clone()));
        let reader = Reader { run, earlier, weights: None, reads_values: true, options, warnings: Vec::new() };
        let material = match Material::read_with(reader) {
            // What could be read when the run began, and can not any more, has changed.
            Err(error) if error.is_of_data() => return Err(changed(error.to_string())),
            other => other?,
        };
        match material.inputs.change_since(&began, &run.data) {
            Some(what) => Err(changed(what)),
            None => Ok(material),
        }
    }

    fn read_with(reader: Reader<'_>) -> Result<Material, Error> {
        match &reader.run.data.source {
            Source::Embedded(Embedded::Rows(name, rows)) => {
                reader.rows(Path::new(name), (rows()?, None, Vec::new()), Inputs::default())
            }
            Source::Embedded(Embedded::Text(_, text)) => reader.text(text(), false),
            // Of pictures the source is another.
            Source::Embedded(Embedded::Pictures(name, _)) => {
                Err(Error::bad_file(Path::new(name), "these are pictures, for a model of pictures"))
            }
            Source::Text { train, ascii } => reader.text(text::read(train)?, *ascii),
            Source::LabelledTexts { train, columns, label } => reader.labelled_texts(train, columns, label),
            Source::Numbers { train, label, features, standardize, classes } => {
                reader.numbers(train, label, (features, *standardize), classes)
            }
            Source::Pictures(pictures) => reader.pictures(pictures),
            Source::Images { train, labels, scale } => reader.images([train, labels], *scale),
        }
    }
}

struct Reader<'a> {
    run: &'a RunFile,
    /// The inputs of the run that this one begins from or resumes, and their file.
    earlier: Option<(PathBuf, Inputs)>,
    /// The values to begin with; none if they are new or come from a checkpoint.
    weights: Option<Weights>,
    /// Whether these values are read: a plan only needs names and shapes.
    reads_values: bool,
    options: ReadOptions<'a>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    /// The tokenizer of what is begun from or gone on with, or else the characters of this data.
    fn tokenizer(&self, of_data: impl FnOnce() -> Result<Vocabulary, Error>) -> Result<Tokenizer, Error> {
        let file = match (&self.earlier, &self.run.model.from) {
            (Some((inputs, earlier)), _) => earlier.tokenizer(inputs.parent().unwrap_or(Path::new("")))?,
            (None, Some(from)) => tokenizer::beside(from)?,
            (None, None) => None,
        };
        let is_of_characters = self.earlier.as_ref().is_some_and(|(_, earlier)| earlier.characters.is_some());
        match (file, &self.run.model.pretrained) {
            (Some(tokenizer), Some(folder)) => return tokenizer::fitting(tokenizer, folder),
            (Some(tokenizer), None) => return Ok(tokenizer),
            (None, Some(folder)) if !is_of_characters => return Err(tokenizer::missing(folder)),
            (None, _) => {}
        }
        let vocabulary = self.vocabulary(of_data)?;
        let unknown = self.token_of_unknown(&vocabulary);
        Ok(Tokenizer::characters(vocabulary, unknown))
    }

    /// The vocabulary of the run that is begun from, or else of this data.
    fn vocabulary(&self, of_data: impl FnOnce() -> Result<Vocabulary, Error>) -> Result<Vocabulary, Error> {
        let earlier = self.earlier.as_ref().map(|(_, inputs)| inputs.vocabulary()).transpose()?.flatten();
        let vocabulary = earlier.map_or_else(of_data, Ok)?;
        Ok(match self.run.data.unknown {
            Unknown::Token => vocabulary.with_unknown(),
            _ => vocabulary,
        })
    }

    /// The token for unknown characters, if wanted.
    fn token_of_unknown(&self, vocabulary: &Vocabulary) -> Option<u32> {
        (self.run.data.unknown == Unknown::Token).then(|| vocabulary.token(Vocabulary::UNKNOWN)).flatten()
    }

    /// Says, or refuses, that characters of a file are not in the vocabulary.
    fn tell_unknown(&mut self, file: &str, unknown: &UnknownCharacters) -> Result<(), Error> {
        if unknown.is_empty() {
            return Ok(());
        }
        let done = match self.run.data.unknown {
            Unknown::Error => {
                let ways = "data.unknown: skip leaves them out, token makes them one token";
                let reason = format!("not in the vocabulary: {unknown} ({ways})");
                return Err(Error::bad_file(Path::new(file), reason));
            }
            Unknown::Skip => "left out",
            Unknown::Token => "read as one unknown character",
        };
        let file = tame_line(file);
        self.warnings.push(format!("{file}: characters that are not in the vocabulary are {done}: {unknown}"));
        Ok(())
    }

    /// An MLP on rows of a file; the second set, or a part of the first one, to test on.
    fn rows(
        mut self,
        path: &Path,
        (train, test, also): (DataSet, Option<DataSet>, Vec<(&str, DataSet)>),
        inputs: Inputs,
    ) -> Result<Material, Error> {
        let (train, test) = match test {
            Some(test) => (train, test),
            None => {
                let names: Vec<String> = (0..train.classes()).map(|class| class.to_string()).collect();
                let (here, held_out) = split(self.run, path, train.labels(), &names, &mut self.warnings)?;
                (train.picked(&here), train.picked(&held_out))
            }
        };
        let model = self.run.model.mlp(train.inputs(), train.classes())?;
        let inputs = inputs.checked(&bytes_of(&train), &bytes_of(&test));
        let values = self.values(&model.clone().into(), &inputs)?;
        let what = format!("{} rows to train on, {} to test, {} classes", train.rows(), test.rows(), train.classes());
        let mut task = Classify::new(&model, (&train, &test))?;
        for (name, set) in &also {
            task = task.also(name, Classify::new(&model, (set, set))?)?;
        }
        Ok(Material {
            summary: summary("an MLP", &model, &what),
            task: Box::new(match values {
                Some(values) => task.starting_from(values),
                None => task,
            }),
            model: model.into(),
            inputs,
            tokenizer: None,
            pictures: None,
            units: ("rows", 1),
            warnings: self.warnings,
        })
    }

    /// Values to begin with, for a model whose data becomes its own in this way. What stays new is reported.
    fn values(&mut self, built: &Model, inputs: &Inputs) -> Result<Option<Values>, Error> {
        let Some(weights) = &self.weights else { return Ok(None) };
        let model = &self.run.model;
        let earlier = weights.inputs.as_ref().map(|(_, inputs)| inputs);
        let kept = Kept {
            outputs: self.keeps_outputs(earlier, inputs, built),
            tables: (model.token_tables(), self.known_tokens(earlier)),
        };
        let Begun { values, new, unused } = match self.reads_values {
            true => weights.values(built, built.initial(self.run.seed), &kept)?,
            false => weights.fits(built, &kept)?,
        };
        let file = shown_path(&weights.path);
        if weights.inputs.is_none() && model.pretrained.is_none() && model.pictures.is_none() {
            let what = match model.token_tables() {
                [] => "its classes and columns are unknown, and assumed to be these, in this order",
                _ => "its vocabulary and classes are unknown",
            };
            self.warnings.push(format!(
                "{file}: there is no {INPUTS} of its run beside it, so {what}; these start with new values: {}",
                new.join(", ")
            ));
        } else if !new.is_empty() {
            self.warnings.push(format!(
                "not in model.from, or for other classes; these start with new values: {}",
                new.join(", ")
            ));
        }
        // A run's own folder has what a class of another program expects in it, and nobody reads here.
        if !unused.is_empty() && weights.inputs.is_none() {
            self.warnings.push(format!("{file}: not used: {}", modules(&unused)));
        }
        let frozen: Vec<&String> =
            new.iter().filter(|name| !self.run.trains_trunk && model.token_tables().contains(&name.as_str())).collect();
        if let Some(name) = frozen.first() {
            self.warnings.push(format!("trainable: false: {name} is new, and does not train"));
        }
        Ok(self.reads_values.then_some(values))
    }

    /// Whether the outputs of `model.from` are this run's: the same classes by name, or as many without names.
    fn keeps_outputs(&self, earlier: Option<&Inputs>, inputs: &Inputs, built: &Model) -> bool {
        match (earlier, &self.run.model.pretrained) {
            (Some(earlier), _) => earlier.classes == inputs.classes,
            (None, Some(folder)) => {
                let labels = &folder.model.labels;
                let is_language = inputs.classes.is_empty() && built.objective() == Objective::Classes;
                is_language || labels.is_empty() || *labels == inputs.classes
            }
            (None, None) => !inputs.classes.is_empty() && self.run.model.own_labels() == inputs.classes,
        }
    }

    /// How many of the model's tokens, from the first on, what is begun from knows; `None`: all of them.
    fn known_tokens(&self, earlier: Option<&Inputs>) -> Option<usize> {
        match (earlier.and_then(|earlier| earlier.characters.as_ref()), &self.run.model.pretrained) {
            (Some(characters), _) => Some(characters.chars().count()),
            // The tokenizer is the same file, so every token is.
            (None, Some(_)) => None,
            (None, None) if earlier.is_some_and(|earlier| earlier.tokenizer_crc32.is_some()) => None,
            (None, None) => Some(0),
        }
    }
}

fn bytes_of(set: &DataSet) -> [&[u8]; 2] {
    [bytemuck::cast_slice(set.values()), bytemuck::cast_slice(set.labels())]
}

fn summary(kind: &str, model: &impl Network, data: &str) -> String {
    let parameters: usize = model.params().iter().map(Param::elements).sum();
    format!("{kind} of {parameters} parameters; {data}")
}

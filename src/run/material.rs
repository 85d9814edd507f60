//! What a run is about, read from disk: model and data, as a task for the trainer.

use super::inputs::{Column, INPUTS};
use super::model::Values;
use super::table::Table;
use super::{DataSpec, Error, Inputs, ModelSpec, RunFile, Source, TestSet, idx::Idx};
use crate::data::{self, DataSet, Sequence, SequenceSizes, Sequences, Text, TokenStream, Vocabulary};
use crate::nn::transformer::Transformer;
use crate::params::Param;
use crate::train::{Classify, ClassifySequences, Language, Task, files};
use std::collections::BTreeSet;
use std::path::Path;

/// A task and what belongs to it.
pub struct Material {
    /// Model and data.
    pub task: Box<dyn Task>,
    /// How a user's data becomes the model's.
    pub inputs: Inputs,
    /// What it is, in a line.
    pub summary: String,
    /// What a row is counted in, and how many of them it has: rows, or tokens.
    pub units: (&'static str, usize),
    /// What was done to the data that its owner should know.
    pub warnings: Vec<String>,
}

impl Material {
    /// Reads model and data.
    ///
    /// # Errors
    /// [`Error`] naming the file, and line, column and value where there are some.
    pub fn read(run: &RunFile) -> Result<Material, Error> {
        Material::read_with(run, run.model.earlier_run().map(Inputs::of_run).transpose()?, true)
    }

    /// Reads model and data for a run that goes on in this folder. Its inputs are those that it began with, and its values
    /// come from its checkpoint: what it began from need not be there any more.
    ///
    /// # Errors
    /// As [`read`](Material::read), and [`Error::Changed`] for data that is not what the run began with: to go on would be
    /// another run.
    pub fn of_run(run: &RunFile, folder: &Path) -> Result<Material, Error> {
        let began = Inputs::of_run(folder)?;
        let changed = |what| Error::Changed { folder: folder.to_owned(), what };
        let material = match Material::read_with(run, Some(began.clone()), false) {
            // What could be read when the run began, and can not any more, has changed.
            Err(error) if error.is_of_data() => return Err(changed(error.to_string())),
            other => other?,
        };
        match material.inputs.change_since(&began, &run.data) {
            Some(what) => Err(changed(what)),
            None => Ok(material),
        }
    }

    fn read_with(run: &RunFile, earlier: Option<Inputs>, begins: bool) -> Result<Material, Error> {
        let DataSpec { source, test, .. } = &run.data;
        let reader = Reader { run, model: &run.model, test, earlier, begins };
        match source {
            Source::Embedded("digits") => reader.rows(data::digits()?, None, Inputs::default()),
            Source::Embedded(name) => reader.text(if *name == "kjv" { data::kjv() } else { data::glosses() }, true),
            Source::Text { train, ascii } => reader.text(text(train)?, *ascii),
            Source::LabelledTexts { train, text, label, classes } => {
                reader.labelled_texts(train, [text, label], classes)
            }
            Source::Numbers { train, label, features, standardize, classes } => {
                reader.numbers(train, label, features, *standardize, classes)
            }
            Source::Images { train, labels, scale } => reader.images([train, labels], *scale),
        }
    }
}

struct Reader<'a> {
    run: &'a RunFile,
    model: &'a ModelSpec,
    test: &'a TestSet,
    /// What the run that is begun from, or gone on with, took its inputs to be.
    earlier: Option<Inputs>,
    /// Whether values are begun with; else they come from a checkpoint.
    begins: bool,
}

/// A labelled example of a table, and where it stands.
struct Labelled {
    line: u64,
    text: String,
    label: String,
}

impl Reader<'_> {
    fn text(self, train: Text, ascii: bool) -> Result<Material, Error> {
        let test = match self.test {
            TestSet::File(path, _) => Some(text(path)?),
            TestSet::Percent(_) => None,
        };
        let vocabulary = match &self.earlier {
            Some(earlier) => earlier.vocabulary()?,
            None if ascii => Some(Vocabulary::ascii()),
            None => None,
        };
        let texts: Vec<&Text> = [&train].into_iter().chain(&test).collect();
        let vocabulary = vocabulary.map_or_else(|| Vocabulary::of(&texts), Ok)?;
        let stream = |text: &Text| TokenStream::new(vocabulary.encode(text)?, vocabulary.len());
        let name = train.name().to_owned();
        let (train, test) = match &test {
            Some(test) => (stream(&train)?, stream(test)?),
            None => stream(&train)?.split(self.percent())?,
        };
        for (which, stream) in [("train", &train), ("test", &test)] {
            let (tokens, needed) = (stream.tokens().len(), self.model.context + 1);
            if tokens < needed {
                let reason = format!(
                    "{tokens} characters to {which} on, and model.context = {} needs {needed} at least",
                    self.model.context
                );
                return Err(Error::bad_file(Path::new(&name), reason));
            }
        }
        let model = self.model.decoder(vocabulary.len())?;
        let (values, mut warnings) = self.values(&model.params(), || model.config().initial(self.run.seed), true)?;
        if !self.run.trains_trunk && self.model.has_no_head() {
            let norm = "the output layer is tied to the token table, so nothing but the last norm trains (model.tied: false \
                        gives it a layer of its own)";
            warnings.push(format!("trainable: false: {norm}"));
        }
        let mut task = Language::new(&model, (&train, &test))?;
        if self.run.keeps_trunk {
            task = task.with_fixed_windows();
        }
        let (tokens, tests) = (train.tokens().len(), test.tokens().len());
        let what = format!("{tokens} characters to train on, {tests} to test, {} different ones", vocabulary.len());
        Ok(Material {
            summary: summary("a decoder", &model.params(), &what),
            task: Box::new(match values {
                Some(values) => task.starting_from(values),
                None => task,
            }),
            inputs: Inputs { characters: Some(vocabulary.characters().iter().collect()), ..Inputs::default() }
                .checked(&[bytemuck::cast_slice(train.tokens())], &[bytemuck::cast_slice(test.tokens())]),
            units: ("tokens", self.model.context),
            warnings,
        })
    }

    fn labelled_texts(self, train: &Path, columns: [&String; 2], classes: &[String]) -> Result<Material, Error> {
        let (train, tests) = self.two_sets(train, |path| labelled(path, columns))?;
        let classes = self.classes(classes, &train)?;
        check_labels(self.test_path(&train.path), &tests, &classes)?;
        let context = self.model.context;
        let all = || train.rows.iter().chain(&tests);
        let vocabulary = match self.earlier.as_ref().map(Inputs::vocabulary).transpose()?.flatten() {
            Some(vocabulary) => vocabulary,
            None => {
                Vocabulary::new(all().flat_map(|row| row.text.chars()).collect::<BTreeSet<_>>().into_iter().collect())?
            }
        };
        let sizes = SequenceSizes { context, vocabulary: vocabulary.len(), types: 1, classes: classes.len() };
        let mut cut = 0;
        let mut sequences = |rows: &[Labelled], path: &Path| -> Result<Sequences, Error> {
            let rows = rows.iter().map(|row| {
                let at = format!("{}, line {}", path.display(), row.line);
                let mut tokens = vocabulary.encode(&Text::from_bytes(&at, row.text.clone().into_bytes())?)?;
                cut += usize::from(tokens.len() > context);
                tokens.truncate(context);
                let label = classes.iter().position(|class| *class == row.label).unwrap_or_default() as u32;
                Ok(Sequence { tokens, types: Vec::new(), label })
            });
            Ok(Sequences::new(sizes, &rows.collect::<Result<Vec<_>, Error>>()?)?)
        };
        let (train_set, test_set) =
            (sequences(&train.rows, &train.path)?, sequences(&tests, self.test_path(&train.path))?);
        let model: Transformer = self.model.encoder(vocabulary.len(), classes.len())?;
        let keeps_head = self.has_classes(&classes);
        let (values, mut warnings) =
            self.values(&model.params(), || model.config().initial(self.run.seed), keeps_head)?;
        if cut > 0 {
            let all = train.rows.len() + tests.len();
            warnings.push(format!(
                "{cut} of {all} texts are longer than {context} characters and were cut (model.context)"
            ));
        }
        let task = ClassifySequences::new(&model, (&train_set, &test_set))?;
        let what =
            format!("{} texts to train on, {} to test, {} classes", train_set.len(), test_set.len(), classes.len());
        Ok(Material {
            summary: summary("an encoder", &model.params(), &what),
            task: Box::new(match values {
                Some(values) => task.starting_from(values),
                None => task,
            }),
            inputs: Inputs { characters: Some(vocabulary.characters().iter().collect()), classes, ..Inputs::default() }
                .checked(&[bytemuck::cast_slice(train_set.packed())], &[bytemuck::cast_slice(test_set.packed())]),
            units: ("tokens", context),
            warnings,
        })
    }

    fn numbers(
        self,
        train: &Path,
        label: &String,
        features: &[String],
        standardize: bool,
        classes: &[String],
    ) -> Result<Material, Error> {
        let table = Table::read(train)?;
        let features: Vec<String> = match features {
            [] => table.columns.iter().filter(|column| *column != label).cloned().collect(),
            named => named.to_vec(),
        };
        table.column(train, label)?;
        if features.is_empty() {
            return Err(Error::bad_file(train, format!("there is no column beside the label {label:?}")));
        }
        let (train, tests) = self.two_sets(train, |path| numbers(path, label, &features))?;
        let labels: Vec<Labelled> = train.rows.iter().map(Numbers::labelled).collect();
        let classes = self.classes(classes, &Set { path: train.path.clone(), rows: labels })?;
        let test_labels: Vec<Labelled> = tests.iter().map(Numbers::labelled).collect();
        check_labels(self.test_path(&train.path), &test_labels, &classes)?;
        let column = |(place, name): (usize, &String)| {
            let values = train.rows.iter().map(|row| f64::from(row.values[place]));
            let (mean, deviation) = if standardize { moments(values) } else { (0.0, 1.0) };
            Column { name: name.clone(), mean, deviation }
        };
        let columns: Vec<Column> = features.iter().enumerate().map(column).collect();
        let columns = self.columns(columns)?;
        let set = |rows: &[Numbers]| -> Result<DataSet, Error> {
            let value =
                |(value, column): (&f32, &Column)| ((f64::from(*value) - column.mean) / column.deviation) as f32;
            let values = rows.iter().flat_map(|row| row.values.iter().zip(&columns).map(value)).collect();
            let place = |row: &Numbers| classes.iter().position(|class| *class == row.label).unwrap_or_default() as u32;
            Ok(DataSet::new(columns.len(), classes.len(), values, rows.iter().map(place).collect())?)
        };
        let (train_set, test_set) = (set(&train.rows)?, set(&tests)?);
        let inputs = Inputs { classes, columns, ..Inputs::default() };
        self.rows(train_set, Some(test_set), inputs)
    }

    fn images(self, [values, labels]: [&Path; 2], scale: f64) -> Result<Material, Error> {
        let (train, train_labels) = images(values, labels)?;
        let classes = train_labels.bytes.iter().max().map_or(0, |most| usize::from(*most) + 1);
        if let Some(class) =
            (0..classes).find(|class| !train_labels.bytes.iter().any(|label| usize::from(*label) == *class))
        {
            return Err(Error::EmptyClass { path: labels.to_owned(), class: class.to_string() });
        }
        let set = |values: &Idx, labels: &Idx| -> Result<DataSet, Error> {
            let numbers = values.bytes.iter().map(|byte| (f64::from(*byte) / scale) as f32).collect();
            let labels = labels.bytes.iter().map(|label| u32::from(*label)).collect();
            Ok(DataSet::new(values.width(), classes, numbers, labels)?)
        };
        let test = match self.test {
            TestSet::File(values, Some(labels)) => {
                let (tests, test_labels) = images(values, labels)?;
                if tests.sizes[1..] != train.sizes[1..] {
                    let reason =
                        format!("its rows are {:?}, those of the train set {:?}", &tests.sizes[1..], &train.sizes[1..]);
                    return Err(Error::bad_file(values, reason));
                }
                if let Some(label) = test_labels.bytes.iter().find(|label| usize::from(**label) >= classes) {
                    let reason = format!("the label {label} never comes in what is trained on (0 to {})", classes - 1);
                    return Err(Error::bad_file(labels, reason));
                }
                Some(set(&tests, &test_labels)?)
            }
            _ => None,
        };
        let train = set(&train, &train_labels)?;
        self.rows(train, test, Inputs { scale: Some(scale), ..Inputs::default() })
    }

    /// The columns as the run that is begun from has them: what its model learnt is in its numbers.
    fn columns(&self, found: Vec<Column>) -> Result<Vec<Column>, Error> {
        let Some(earlier) = self.earlier.as_ref().filter(|earlier| !earlier.columns.is_empty()) else {
            return Ok(found);
        };
        let names =
            |columns: &[Column]| columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
        let (there, here) = (names(&earlier.columns), names(&found));
        if there != here {
            let path = self.model.earlier_run().unwrap_or(Path::new("")).join(INPUTS);
            return Err(Error::bad_file(&path, format!("its columns are {there}; here they are {here}")));
        }
        Ok(earlier.columns.clone())
    }

    /// Whether the run that is begun from has these classes, in this order.
    fn has_classes(&self, classes: &[String]) -> bool {
        self.earlier.as_ref().is_none_or(|earlier| earlier.classes == classes)
    }

    /// An MLP on rows; `test` or a part of the train set to test on.
    fn rows(self, train: DataSet, test: Option<DataSet>, inputs: Inputs) -> Result<Material, Error> {
        let (train, test) = match test {
            Some(test) => (train, test),
            None => train.split(self.percent(), self.run.seed)?,
        };
        let model = self.model.mlp(train.inputs(), train.classes())?;
        let keeps_head = self.has_classes(&inputs.classes);
        let (values, new) = self.values(&model.params(), || model.initial(self.run.seed), keeps_head)?;
        let inputs = inputs.checked(&bytes_of(&train), &bytes_of(&test));
        let what = format!("{} rows to train on, {} to test, {} classes", train.rows(), test.rows(), train.classes());
        let task = Classify::new(&model, (&train, &test))?;
        Ok(Material {
            summary: summary("an MLP", &model.params(), &what),
            task: Box::new(match values {
                Some(values) => task.starting_from(values),
                None => task,
            }),
            inputs,
            units: ("rows", 1),
            warnings: new,
        })
    }

    /// Values to begin with, and a warning where a head stays new.
    fn values(
        &self,
        params: &[Param],
        initial: impl FnOnce() -> Values,
        keeps_head: bool,
    ) -> Result<(Option<Values>, Vec<String>), Error> {
        if self.model.from.is_none() || !self.begins {
            return Ok((None, Vec::new()));
        }
        let Some((values, new)) = self.model.values(params, initial(), keeps_head)? else {
            return Ok((None, Vec::new()));
        };
        let warning = (!new.is_empty()).then(|| format!("not in what is begun from, so new: {}", new.join(", ")));
        Ok((Some(values), warning.into_iter().collect()))
    }

    /// The train set and the test set: two files, or one that is split.
    fn two_sets<T>(
        &self,
        train: &Path,
        read: impl Fn(&Path) -> Result<Vec<T>, Error>,
    ) -> Result<(Set<T>, Vec<T>), Error> {
        let rows = read(train)?;
        let path = train.to_owned();
        if let TestSet::File(test, _) = self.test {
            return Ok((Set { path, rows }, read(test)?));
        }
        let (_, held_out) = data::split(rows.len(), self.percent(), self.run.seed)
            .map_err(|error| Error::bad_file(train, format!("{error} (data.test_percent)")))?;
        let held_out: BTreeSet<usize> = held_out.into_iter().collect();
        let (tests, rows): (Vec<_>, Vec<_>) =
            rows.into_iter().enumerate().partition(|(place, _)| held_out.contains(place));
        let alone = |rows: Vec<(usize, T)>| rows.into_iter().map(|(_, row)| row).collect();
        Ok((Set { path, rows: alone(rows) }, alone(tests)))
    }

    /// How much of the train set is held out, where it is.
    fn percent(&self) -> usize {
        match self.test {
            TestSet::Percent(percent) => *percent,
            TestSet::File(..) => 0,
        }
    }

    /// The file that the test set came from.
    fn test_path<'a>(&'a self, train: &'a Path) -> &'a Path {
        match self.test {
            TestSet::File(path, _) => path,
            TestSet::Percent(_) => train,
        }
    }

    /// The classes: those named, or those of the train set in order; each has an example.
    fn classes(&self, named: &[String], train: &Set<Labelled>) -> Result<Vec<String>, Error> {
        let found: BTreeSet<&str> = train.rows.iter().map(|row| row.label.as_str()).collect();
        if named.is_empty() {
            let mut classes: Vec<String> = found.into_iter().map(str::to_owned).collect();
            if classes.iter().all(|class| class.parse::<i64>().is_ok()) {
                classes.sort_by_key(|class| class.parse::<i64>().unwrap_or_default());
            }
            return Ok(classes);
        }
        if let Some(class) = named.iter().find(|class| !found.contains(class.as_str())) {
            return Err(Error::EmptyClass { path: train.path.clone(), class: class.clone() });
        }
        match train.rows.iter().find(|row| !named.contains(&row.label)) {
            None => Ok(named.to_vec()),
            Some(row) => Err(Error::NotAClass {
                path: train.path.clone(),
                line: row.line,
                label: row.label.clone(),
                classes: named.to_vec(),
            }),
        }
    }
}

/// Rows and the file that they came from.
struct Set<T> {
    path: std::path::PathBuf,
    rows: Vec<T>,
}

/// A row of numbers with its label.
struct Numbers {
    line: u64,
    values: Vec<f32>,
    label: String,
}

impl Numbers {
    fn labelled(&self) -> Labelled {
        Labelled { line: self.line, text: String::new(), label: self.label.clone() }
    }
}

fn text(path: &Path) -> Result<Text, Error> {
    let bytes = files::read(path).map_err(|error| Error::unreadable(path, &error))?;
    Ok(Text::from_bytes(&path.display().to_string(), bytes)?)
}

fn labelled(path: &Path, [text, label]: [&String; 2]) -> Result<Vec<Labelled>, Error> {
    let table = Table::read(path)?;
    let (text, label) = (table.column(path, text)?, table.column(path, label)?);
    let row = |row: &super::table::Row| {
        let words = table.cell(path, row, text)?;
        if words.is_empty() {
            return Err(Error::bad_line(path, row.line, "the text is empty"));
        }
        Ok(Labelled { line: row.line, text: words.to_owned(), label: label_of(&table, path, row, label)? })
    };
    table.rows.iter().map(row).collect()
}

fn numbers(path: &Path, label: &str, features: &[String]) -> Result<Vec<Numbers>, Error> {
    let table = Table::read(path)?;
    let label = table.column(path, label)?;
    let features: Vec<usize> = features.iter().map(|name| table.column(path, name)).collect::<Result<_, _>>()?;
    let row = |row: &super::table::Row| {
        let value = |place: &usize| {
            let cell = table.cell(path, row, *place)?;
            let number = cell.parse::<f32>().ok().filter(|number| number.is_finite());
            number.ok_or_else(|| {
                Error::bad_line(path, row.line, format!("{} = {cell:?} is not a finite number", table.columns[*place]))
            })
        };
        let values = features.iter().map(value).collect::<Result<_, _>>()?;
        Ok(Numbers { line: row.line, values, label: label_of(&table, path, row, label)? })
    };
    table.rows.iter().map(row).collect()
}

fn label_of(table: &Table, path: &Path, row: &super::table::Row, column: usize) -> Result<String, Error> {
    match table.cell(path, row, column)? {
        "" => Err(Error::bad_line(path, row.line, "the label is empty")),
        label => Ok(label.to_owned()),
    }
}

fn bytes_of(set: &DataSet) -> [&[u8]; 2] {
    [bytemuck::cast_slice(set.values()), bytemuck::cast_slice(set.labels())]
}

fn images(values: &Path, labels: &Path) -> Result<(Idx, Idx), Error> {
    let (images, of) = (Idx::read(values)?, Idx::read(labels)?);
    if of.sizes.len() != 1 || of.rows() != images.rows() {
        let reason = format!("its sizes are {:?}: one label for each of {} rows is needed", of.sizes, images.rows());
        return Err(Error::bad_file(labels, reason));
    }
    Ok((images, of))
}

/// Every label is a class.
fn check_labels(path: &Path, rows: &[Labelled], classes: &[String]) -> Result<(), Error> {
    match rows.iter().find(|row| !classes.contains(&row.label)) {
        None => Ok(()),
        Some(row) => Err(Error::UnknownLabel {
            path: path.to_owned(),
            line: row.line,
            label: row.label.clone(),
            known: classes.to_vec(),
        }),
    }
}

/// Mean and standard deviation; a column that never changes has 1.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
}

fn summary(kind: &str, params: &[Param], data: &str) -> String {
    let parameters: usize = params.iter().map(Param::elements).sum();
    format!("{kind} of {parameters} parameters; {data}")
}

//! An encoder on labelled texts.

use super::columns::Held;
use super::{Material, Reader, summary};
use crate::data::{BETWEEN, Sequence, SequenceSizes, Sequences, TextInput, Tokenizer, UnknownCharacters, Vocabulary};
use crate::nn::Network;
use crate::nn::models::Head;
use crate::params::{shown_list, shown_path};
use crate::run::examples::{Example, class, finite};
use crate::run::inputs::Column;
use crate::run::sets::Sets;
use crate::run::texts::{TextRow, marked, numbers};
use crate::run::{Error, Inputs, Label, TextColumns};
use crate::train::ClassifySequences;
use std::collections::BTreeSet;
use std::path::Path;

/// What a text is labelled with: a class, or a number for each output.
enum Target {
    Class(u32),
    Numbers(Vec<f32>),
}

type Rows = Vec<Example<TextRow, Target>>;

impl Reader<'_> {
    pub(super) fn labelled_texts(
        mut self,
        path: &Path,
        columns: &TextColumns,
        label: &Label,
    ) -> Result<Material, Error> {
        let (Sets { train, test, warnings }, classes) = self.sets(path, columns, label)?;
        self.warnings.extend(warnings);
        let names = columns.features.iter().enumerate();
        let held = names.map(|(place, name)| (name.clone(), held(place, &train, &test))).collect();
        let features = self.columns(path, held, None)?;
        let tokenizer = self.tokenizer(|| {
            let texts = train.iter().chain(&test).flat_map(|row| [Some(&row.input.text), row.input.pair.as_ref()]);
            let between = columns.pair.is_some().then_some(BETWEEN);
            let all: BTreeSet<char> = texts.flatten().flat_map(|text| text.chars()).chain(between).collect();
            Ok(Vocabulary::new(all.into_iter().collect())?)
        })?;
        let inputs = Inputs { classes, columns: features, ..Inputs::default() }.tokenized(&tokenizer);
        let beside = inputs.columns.iter().map(Column::width).sum::<usize>();
        let head = Head::new(inputs.classes.len()).objective(self.run.objective).features(beside);
        let encoder = self.run.model.labelled(tokenizer.vocabulary_size(), head)?;
        let sizes = SequenceSizes {
            context: self.run.model.context,
            vocabulary: encoder.sizes().map_or(0, |sizes| sizes.vocab),
            types: encoder.types().max(1),
            classes: inputs.classes.len(),
        };
        let [train_name, test_name] = [self.run.data.train_name(), self.run.data.test_name()];
        let mut reading =
            Reading { tokenizer: &tokenizer, sizes, features: &inputs.columns, cut: 0, unseen: Vec::new() };
        let train_set = reading.sequences(&mut self, &train, &train_name)?;
        let test_set = reading.sequences(&mut self, &test, &test_name)?;
        let (cut, unseen) = (reading.cut, std::mem::take(&mut reading.unseen));
        let inputs = inputs.checked(&bytes_of(&train_set), &bytes_of(&test_set));
        let values = self.values(&encoder, &inputs)?;
        if cut > 0 {
            let (all, context) = (train.len() + test.len(), sizes.context);
            let unit = if tokenizer.vocabulary().is_some() { "characters" } else { "tokens" };
            self.warnings
                .push(format!("{cut} of {all} texts are longer than {context} {unit} and were cut (model.context)"));
        }
        if let Some(first) = unseen.first() {
            let (test, count) = (shown_path(Path::new(&test_name)), unseen.len());
            self.warnings.push(format!(
                "{test}: {count} of its categories are not in the train set, so all their inputs are 0; the first is {first}"
            ));
        }
        let task = ClassifySequences::new(&encoder, (&train_set, &test_set))?;
        let what = told(label, (train_set.len(), test_set.len()), &inputs);
        Ok(Material {
            summary: summary("an encoder", &encoder, &what),
            task: Box::new(match values {
                Some(values) => task.starting_from(values),
                None => task,
            }),
            inputs,
            tokenizer: Some(tokenizer),
            units: ("tokens", sizes.context),
            warnings: self.warnings,
        })
    }

    /// Both sets with their targets, and what the outputs are called.
    fn sets(
        &self,
        path: &Path,
        columns: &TextColumns,
        label: &Label,
    ) -> Result<(Sets<TextRow, Target>, Vec<String>), Error> {
        let there = label.columns();
        Ok(match label {
            Label::Class { classes, .. } => {
                let read = |path: &Path| columns.labelled(path, there, |table, row, at| class(table, row, at[0]));
                let (sets, classes) = Sets::of_classes(self.run, classes, path, read)?;
                (sets.labelled(Target::Class), classes)
            }
            Label::Names { classes, separator, .. } => {
                let read =
                    |path: &Path| columns.labelled(path, there, |table, row, at| table.list(row, at[0], separator));
                let (sets, labels) = Sets::of_labels(self.run, classes, path, read)?;
                (sets.labelled(Target::Numbers), labels)
            }
            Label::Marks(labels) => {
                let (sets, labels) =
                    Sets::of_labels(self.run, labels, path, |path| columns.labelled(path, there, marked))?;
                (sets.labelled(Target::Numbers), labels)
            }
            Label::Numbers(names) => {
                let sets = Sets::of_targets(self.run, path, |path| columns.labelled(path, there, numbers))?;
                (sets.labelled(Target::Numbers), names.clone())
            }
        })
    }
}

/// What a column of features holds: numbers, where every row of both sets has one there.
fn held(place: usize, train: &Rows, test: &Rows) -> Held {
    let number = |row: &Example<TextRow, Target>| finite("", &row.input.features[place]).ok();
    match train.iter().map(number).collect() {
        Some(numbers) if test.iter().all(|row| number(row).is_some()) => Held::Numbers(numbers),
        _ => {
            let all: BTreeSet<&String> = train.iter().map(|row| &row.input.features[place]).collect();
            Held::Categories(all.into_iter().cloned().collect())
        }
    }
}

/// What there is of data, in words.
fn told(label: &Label, (train, test): (usize, usize), inputs: &Inputs) -> String {
    let (count, features) = (inputs.classes.len(), inputs.columns.iter().map(Column::width).sum::<usize>());
    let outputs = match label {
        Label::Class { .. } => format!("{count} classes"),
        Label::Names { .. } | Label::Marks(_) => format!("{count} labels"),
        Label::Numbers(names) => format!("to tell {}", shown_list(names)),
    };
    let beside = if features > 0 { format!(", {features} numbers beside each") } else { String::new() };
    format!("{train} texts to train on, {test} to test, {outputs}{beside}")
}

fn bytes_of(set: &Sequences) -> Vec<&[u8]> {
    let columns = set.columns().iter().map(|(_, _, values)| bytemuck::cast_slice(values));
    [bytemuck::cast_slice(set.packed())].into_iter().chain(columns).collect()
}

/// Rows on their way to sequences.
struct Reading<'a> {
    tokenizer: &'a Tokenizer,
    sizes: SequenceSizes,
    features: &'a [Column],
    /// Texts that were cut so far.
    cut: usize,
    /// Categories that the train set does not have.
    unseen: Vec<String>,
}

impl Reading<'_> {
    /// The rows of a file as sequences, with their targets and what stands beside the text.
    fn sequences(&mut self, reader: &mut Reader<'_>, rows: &Rows, file: &str) -> Result<Sequences, Error> {
        let inputs: Vec<TextInput<'_>> = rows.iter().map(|row| row.input.tokenized(row.line)).collect();
        let encoded = self.tokenizer.encode_all(&inputs, self.sizes.context, reader.told)?;
        let mut unknown = UnknownCharacters::default();
        let mut sequences = Vec::with_capacity(rows.len());
        let mut targets = Vec::new();
        for (row, encoded) in rows.iter().zip(encoded) {
            unknown.extend(&encoded.unknown);
            self.cut += usize::from(encoded.cut);
            let label = match &row.label {
                Target::Class(class) => *class,
                Target::Numbers(numbers) => {
                    targets.extend(numbers);
                    0
                }
            };
            let types = if self.sizes.types > 1 { encoded.types } else { Vec::new() };
            sequences.push(Sequence { tokens: encoded.tokens, types, label });
        }
        reader.tell_unknown(file, &unknown)?;
        if let Some(at) = sequences.iter().position(|sequence| sequence.tokens.is_empty()) {
            let reason = "no character of the text is in the vocabulary";
            return Err(Error::bad_line(Path::new(file), rows[at].line, reason));
        }
        let mut set = Sequences::new(self.sizes, &sequences)?;
        if !targets.is_empty() {
            set = set.with_columns("targets", self.sizes.classes, targets)?;
        }
        if !self.features.is_empty() {
            let width = self.features.iter().map(Column::width).sum();
            set = set.with_columns("features", width, self.features_of(rows, file)?)?;
        }
        Ok(set)
    }

    fn features_of(&mut self, rows: &Rows, file: &str) -> Result<Vec<f32>, Error> {
        let mut values = Vec::new();
        for row in rows {
            for (column, cell) in self.features.iter().zip(&row.input.features) {
                let known = column
                    .put(cell, &mut values)
                    .map_err(|reason| Error::bad_line(Path::new(file), row.line, reason))?;
                if !known {
                    self.unseen.push(format!("{cell:?} of {:?} on line {}", column.name, row.line));
                }
            }
        }
        Ok(values)
    }
}

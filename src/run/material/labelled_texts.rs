//! An encoder on labelled texts.

use super::columns::Held;
use super::{Material, Reader, summary};
use crate::data::{BETWEEN, Sequences, Vocabulary};
use crate::params::{shown_list, shown_path};
use crate::run::examples::{Example, class, finite};
use crate::run::inputs::Column;
use crate::run::known::Known;
use crate::run::labelled;
use crate::run::sets::Sets;
use crate::run::text_set::{Target, TextRows, TextSets, sequence_sizes};
use crate::run::texts::{TextRow, marked, numbers};
use crate::run::{Error, Inputs, Label, TextColumns};
use crate::train::ClassifySequences;
use std::collections::BTreeSet;
use std::path::Path;

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
        let model = self.run.model.labelled(tokenizer.vocabulary_size(), self.run.head(&inputs))?;
        let sizes = sequence_sizes(self.run, &model);
        let [train_name, test_name] = [self.run.data.train_name(), self.run.data.test_name()];
        let (features, hears) = (&inputs.columns, self.options.told);
        let mut sets = TextSets { tokenizer: &tokenizer, sizes, features, told: hears, cut: 0, unseen: Vec::new() };
        let train_set = self.sequences(&mut sets, &train, &train_name)?;
        let test_set = self.sequences(&mut sets, &test, &test_name)?;
        let told_of =
            [sets.told_of_cut(train.len() + test.len()), sets.told_of_unseen(&shown_path(Path::new(&test_name)))];
        let also = self.further(&mut sets, columns, (label, &Known::new(inputs.classes.clone())))?;
        let inputs = inputs.checked(&bytes_of(&train_set), &bytes_of(&test_set));
        let values = self.values(&model, &inputs)?;
        self.warnings.extend(told_of.into_iter().flatten());
        let mut task = ClassifySequences::new(&model, (&train_set, &test_set))?;
        for (name, set) in &also {
            task = task.also(name, ClassifySequences::new(&model, (set, set))?)?;
        }
        let what = told(label, (train_set.len(), test_set.len()), &inputs);
        Ok(Material {
            summary: summary("an encoder", &model, &what),
            task: Box::new(match values {
                Some(values) => task.starting_from(values),
                None => task,
            }),
            model,
            inputs,
            tokenizer: Some(tokenizer),
            pictures: None,
            units: ("tokens", sizes.context),
            warnings: self.warnings,
        })
    }

    /// Further sets to be tested on, by name.
    fn further(
        &mut self,
        sets: &mut TextSets<'_>,
        columns: &TextColumns,
        (label, known): (&Label, &Known),
    ) -> Result<Vec<(String, Sequences)>, Error> {
        let mut also = Vec::new();
        for (name, path) in &self.run.data.also {
            let rows = labelled::texts(path, columns, label, known)?;
            let (rows, warning) = rows.judged(self.run.data.skip_bad_rows)?;
            self.warnings.extend(warning);
            sets.unseen.clear();
            also.push((name.clone(), self.sequences(sets, &rows, &path.display().to_string())?));
            self.warnings.extend(sets.told_of_unseen(&shown_path(path)));
        }
        Ok(also)
    }

    /// The rows of a file as sequences. What of them is not known is reported, or refused.
    fn sequences(&mut self, sets: &mut TextSets<'_>, rows: &TextRows, file: &str) -> Result<Sequences, Error> {
        let (encoded, unknown) = sets.encoded(rows)?;
        self.tell_unknown(file, &unknown)?;
        sets.set(rows, encoded, file)
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
fn held(place: usize, train: &TextRows, test: &TextRows) -> Held {
    let number = |row: &Example<TextRow, Target>| finite("", &row.input.features[place]).ok();
    match train.iter().map(number).collect() {
        Some(numbers) if test.iter().all(|row| number(row).is_some()) => Held::Numbers(numbers),
        _ => {
            let all: BTreeSet<&String> = train.iter().map(|row| &row.input.features[place]).collect();
            Held::Categories(all.into_iter().cloned().collect())
        }
    }
}

/// The data in words.
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

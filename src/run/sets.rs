//! A train set and a test set, and their classes or labels.

use super::examples::{Example, Examples};
use super::known::Known;
use super::{Error, RunFile, Split, TestSet};
use crate::data;
use crate::params::{Shown, shown_list, shown_path};
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::Path;

/// What is trained on and what is tested on.
pub(super) struct Sets<T, L> {
    pub(super) train: Vec<Example<T, L>>,
    pub(super) test: Vec<Example<T, L>>,
    pub(super) warnings: Vec<String>,
}

impl<T, L> Sets<T, L> {
    /// With other labels.
    pub(super) fn labelled<M>(self, label: impl Fn(L) -> M) -> Sets<T, M> {
        let all = |rows: Vec<Example<T, L>>| rows.into_iter().map(|row| row.labelled(&label)).collect();
        Sets { train: all(self.train), test: all(self.test), warnings: self.warnings }
    }

    /// Examples of one file, of which these places are held out.
    fn parted(rows: Vec<Example<T, L>>, held_out: &[usize], warnings: Vec<String>) -> Sets<T, L> {
        let mut is_held_out = vec![false; rows.len()];
        held_out.iter().for_each(|place| is_held_out[*place] = true);
        let (test, train): (Vec<_>, Vec<_>) = rows.into_iter().zip(is_held_out).partition(|(_, is_out)| *is_out);
        let alone = |rows: Vec<(Example<T, L>, bool)>| rows.into_iter().map(|(row, _)| row).collect();
        Sets { train: alone(train), test: alone(test), warnings }
    }

    /// Reads both: two files, or one that is split at random.
    pub(super) fn of_targets(
        run: &RunFile,
        path: &Path,
        read: impl Fn(&Path) -> Result<Examples<T, L>, Error>,
    ) -> Result<Sets<T, L>, Error> {
        let (rows, warning) = read(path)?.judged(run.data.skip_bad_rows)?;
        let mut warnings: Vec<String> = warning.into_iter().collect();
        match &run.data.test {
            TestSet::File(test, _) => {
                let (test, warning) = read(test)?.judged(run.data.skip_bad_rows)?;
                warnings.extend(warning);
                Ok(Sets { train: rows, test, warnings })
            }
            TestSet::Percent(percent) => {
                let parts = data::split(rows.len(), *percent, run.seed);
                let (_, held_out) = parts.map_err(|error| bad_split(path, &error))?;
                Ok(Sets::parted(rows, &held_out, warnings))
            }
        }
    }
}

/// The labels that come, in the order of the outputs that the model has begun from, if it has the same.
fn as_begun(run: &RunFile, come: Vec<String>) -> Vec<String> {
    let labels = run.model.own_labels();
    let are_there = labels.len() == come.len() && labels.iter().all(|label| come.contains(label));
    if are_there { labels.to_vec() } else { come }
}

/// Sets of examples with a class each, and the classes.
type Classed<T> = (Sets<T, u32>, Vec<String>);

impl<T> Sets<T, u32> {
    /// Reads both: two files, or one that is split. Classes are those named, or those that come, in order.
    pub(super) fn of_classes(
        run: &RunFile,
        named: &[String],
        path: &Path,
        read: impl Fn(&Path) -> Result<Examples<T, String>, Error>,
    ) -> Result<Classed<T>, Error> {
        let (mut examples, skips) = (read(path)?, run.data.skip_bad_rows);
        let named: Vec<String> = named.iter().map(|class| (examples.form)(class)).collect();
        let come = || as_begun(run, found(examples.rows.iter().map(|row| row.label.as_str())));
        let classes = if named.is_empty() { come() } else { named };
        let known = Known::new(classes);
        examples.keep(|row| known.not_named(&row.label));
        let (rows, warning) = examples.judged(skips)?;
        let mut warnings: Vec<String> = warning.into_iter().collect();
        let all: Vec<Example<T, u32>> = classed(rows, &known);
        let classes = &known.labels;
        each_has_an_example(path, classes, all.iter().map(|row| row.label))?;
        several(path, classes)?;
        let sets = match &run.data.test {
            TestSet::File(test, _) => {
                let mut examples = read(test)?;
                examples.keep(|row| known.not_trained(&row.label));
                let (rows, warning) = examples.judged(skips)?;
                warnings.extend(warning);
                Sets { train: all, test: classed(rows, &known), warnings }
            }
            TestSet::Percent(_) => {
                let labels: Vec<u32> = all.iter().map(|row| row.label).collect();
                let (_, held_out) = split(run, path, &labels, classes, &mut warnings)?;
                Sets::parted(all, &held_out, warnings)
            }
        };
        Ok((sets, known.labels))
    }
}

/// Sets of examples with a number from 0 to 1 for each label, and the labels.
type Marked<T> = (Sets<T, Vec<f32>>, Vec<String>);

impl<T> Sets<T, Vec<f32>> {
    /// Reads both, of examples with any number of labels. Labels are those named, or those that come, in order.
    pub(super) fn of_labels(
        run: &RunFile,
        named: &[String],
        path: &Path,
        read: impl Fn(&Path) -> Result<Examples<T, Vec<String>>, Error>,
    ) -> Result<Marked<T>, Error> {
        let known: OnceCell<Known> = OnceCell::new();
        let sets = Sets::of_targets(run, path, |file| {
            let mut examples = read(file)?;
            // The train set is read first.
            let is_train = known.get().is_none();
            let form = examples.form;
            let labels = || -> Vec<String> {
                let there = examples.rows.iter().flat_map(|row| row.label.iter().map(String::as_str));
                if named.is_empty() {
                    as_begun(run, found(there))
                } else {
                    named.iter().map(|label| form(label)).collect()
                }
            };
            let known = known.get_or_init(|| Known::new(labels()));
            let wrong = if is_train { Known::not_named } else { Known::not_trained };
            examples.keep(|row| row.label.iter().find_map(|label| wrong(known, label)));
            Ok(examples)
        })?;
        let Some(known) = known.into_inner().filter(|known| !known.labels.is_empty()) else {
            return Err(Error::bad_file(path, "no row has a label"));
        };
        let held_out = if run.data.test.percent() > 0 { &sets.test[..] } else { &[] };
        let there = sets.train.iter().chain(held_out).flat_map(|row| &row.label);
        each_has_an_example(path, &known.labels, there.filter_map(|label| known.place(label)))?;
        Ok((sets.labelled(|said: Vec<String>| known.marks(&said)), known.labels))
    }
}

/// The labels that come, in order; whole numbers by their size.
fn found<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<String> {
    let found: BTreeSet<&str> = labels.collect();
    let mut classes: Vec<String> = found.into_iter().map(str::to_owned).collect();
    if classes.iter().all(|class| class.parse::<i64>().is_ok()) {
        classes.sort_by_key(|class| class.parse::<i64>().unwrap_or_default());
    }
    classes
}

fn classed<T>(rows: Vec<Example<T, String>>, known: &Known) -> Vec<Example<T, u32>> {
    let class = |label: String| known.place(&label).unwrap_or_default();
    rows.into_iter().map(|row| row.labelled(class)).collect()
}

fn each_has_an_example(path: &Path, classes: &[String], labels: impl Iterator<Item = u32>) -> Result<(), Error> {
    match counts(classes.len(), labels).iter().position(|count| *count == 0) {
        Some(empty) => Err(Error::EmptyClass { path: path.to_owned(), class: classes[empty].clone() }),
        None => Ok(()),
    }
}

/// With one class there is nothing to learn.
pub(super) fn several(path: &Path, classes: &[String]) -> Result<(), Error> {
    match classes {
        [only] => Err(Error::bad_file(path, format!("there is only one class, {:?}: nothing to learn", Shown(only)))),
        _ => Ok(()),
    }
}

fn counts(classes: usize, labels: impl Iterator<Item = u32>) -> Vec<usize> {
    let mut counts = vec![0; classes];
    labels.for_each(|label| counts[label as usize] += 1);
    counts
}

/// The places of a train and a test set, as the run file has them split. What is rare is reported as that.
pub(super) fn split(
    run: &RunFile,
    path: &Path,
    labels: &[u32],
    classes: &[String],
    warnings: &mut Vec<String>,
) -> Result<(Vec<usize>, Vec<usize>), Error> {
    let percent = run.data.test.percent();
    let of_all = counts(classes.len(), labels.iter().copied());
    if run.data.split == Split::Stratified && of_all.iter().all(|count| *count < 2) {
        let reason = "no class has two examples, so none can be on both sides of a split: name a test set by data.test";
        return Err(Error::bad_file(path, reason));
    }
    let (train, test) = match run.data.split {
        Split::Stratified => data::stratified(labels, percent, run.seed),
        Split::Random => data::split(labels.len(), percent, run.seed),
    }
    .map_err(|error| bad_split(path, &error))?;
    let of_test = counts(classes.len(), test.iter().map(|place| labels[*place]));
    let named = |class: usize| {
        let (class, count) = (Shown(&classes[class]), of_all[class]);
        format!("{class:?} ({count} {})", if count == 1 { "example" } else { "examples" })
    };
    if let Some(class) = (0..classes.len()).find(|class| of_test[*class] == of_all[*class]) {
        let seed = run.seed;
        let reason = format!(
            "the class {} is rare, and data.split: random with seed = {seed} leaves none of it to train on; data.split: \
             stratified leaves one",
            named(class)
        );
        return Err(Error::bad_file(path, reason));
    }
    let untested: Vec<String> = (0..classes.len()).filter(|class| of_test[*class] == 0).map(named).collect();
    if !untested.is_empty() {
        let path = shown_path(path);
        let why = match run.data.split {
            Split::Stratified => "too rare for both sides of the split, so in the train set only",
            Split::Random => "not held out by data.split: random, so in the train set only",
        };
        warnings.push(format!("{path}: {why}: {}", shown_list(&untested)));
    }
    Ok((train, test))
}

fn bad_split(path: &Path, error: &data::Error) -> Error {
    Error::bad_file(path, format!("{error} (data.test_percent)"))
}

//! A train set and a test set, and their classes.

use super::error::near;
use super::examples::Examples;
use super::{Error, RunFile, Split, TestSet};
use crate::data;
use crate::params::{Shown, shown_list, shown_path};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// An example with the place of its class, and the line of its file.
pub(super) struct Classed<T> {
    pub(super) line: u64,
    pub(super) input: T,
    pub(super) class: u32,
}

/// What is trained on and what is tested on.
pub(super) struct Sets<T> {
    pub(super) train: Vec<Classed<T>>,
    pub(super) test: Vec<Classed<T>>,
    pub(super) classes: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl<T> Sets<T> {
    /// Reads both: two files, or one that is split. Classes are those named, or those that come, in order.
    pub(super) fn read(
        run: &RunFile,
        named: &[String],
        path: &Path,
        read: impl Fn(&Path) -> Result<Examples<T>, Error>,
    ) -> Result<Sets<T>, Error> {
        let (mut examples, skips) = (read(path)?, run.data.skip_bad_rows);
        let named: Vec<String> = named.iter().map(|class| (examples.form)(class)).collect();
        let classes = if named.is_empty() { found(&examples) } else { named };
        let places = places(&classes);
        examples.keep(|row| match places.contains_key(&row.label) {
            true => None,
            false => {
                let (label, near) = (Shown(&row.label), near(&row.label, &classes));
                Some(format!("the label {label:?} is none of data.classes{near}, which are {}", shown_list(&classes)))
            }
        });
        let (rows, warning) = examples.judged(skips)?;
        let mut warnings: Vec<String> = warning.into_iter().collect();
        let all: Vec<Classed<T>> = classed(rows, &places);
        each_has_an_example(path, &classes, &all)?;
        let (train, test) = match &run.data.test {
            TestSet::File(test, _) => {
                let mut examples = read(test)?;
                examples.keep(|row| match places.contains_key(&row.label) {
                    true => None,
                    false => {
                        let (label, near) = (Shown(&row.label), near(&row.label, &classes));
                        let known = shown_list(&classes);
                        let words = "never comes in what is trained on";
                        Some(format!("the label {label:?} {words}{near}; labels there are {known}"))
                    }
                });
                let (rows, warning) = examples.judged(skips)?;
                warnings.extend(warning);
                (all, classed(rows, &places))
            }
            TestSet::Percent(_) => {
                let labels: Vec<u32> = all.iter().map(|row| row.class).collect();
                let (_, held_out) = split(run, path, &labels, &classes, &mut warnings)?;
                let mut is_held_out = vec![false; all.len()];
                held_out.iter().for_each(|place| is_held_out[*place] = true);
                let (test, train): (Vec<_>, Vec<_>) = all.into_iter().zip(is_held_out).partition(|(_, is_out)| *is_out);
                let alone = |rows: Vec<(Classed<T>, bool)>| rows.into_iter().map(|(row, _)| row).collect();
                (alone(train), alone(test))
            }
        };
        Ok(Sets { train, test, classes, warnings })
    }
}

/// The labels that come, in order; whole numbers by their size.
fn found<T>(examples: &Examples<T>) -> Vec<String> {
    let found: BTreeSet<&str> = examples.rows.iter().map(|row| row.label.as_str()).collect();
    let mut classes: Vec<String> = found.into_iter().map(str::to_owned).collect();
    if classes.iter().all(|class| class.parse::<i64>().is_ok()) {
        classes.sort_by_key(|class| class.parse::<i64>().unwrap_or_default());
    }
    classes
}

fn places(classes: &[String]) -> HashMap<String, u32> {
    classes.iter().cloned().zip(0..).collect()
}

fn classed<T>(rows: Vec<super::examples::Example<T>>, places: &HashMap<String, u32>) -> Vec<Classed<T>> {
    let class = |label: &String| places.get(label).copied().unwrap_or_default();
    rows.into_iter().map(|row| Classed { line: row.line, class: class(&row.label), input: row.input }).collect()
}

fn each_has_an_example<T>(path: &Path, classes: &[String], rows: &[Classed<T>]) -> Result<(), Error> {
    let counts = counts(classes.len(), rows.iter().map(|row| row.class));
    if let Some(empty) = counts.iter().position(|count| *count == 0) {
        return Err(Error::EmptyClass { path: path.to_owned(), class: classes[empty].clone() });
    }
    several(path, classes)
}

/// With one class there is nothing to tell apart.
pub(super) fn several(path: &Path, classes: &[String]) -> Result<(), Error> {
    match classes {
        [only] => Err(Error::bad_file(path, format!("there is one class, {:?}: nothing to tell apart", Shown(only)))),
        _ => Ok(()),
    }
}

fn counts(classes: usize, labels: impl Iterator<Item = u32>) -> Vec<usize> {
    let mut counts = vec![0; classes];
    labels.for_each(|label| counts[label as usize] += 1);
    counts
}

/// The places of a train and a test set, as the run file has them split. What is rare is told as that.
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
    .map_err(|error| Error::bad_file(path, format!("{error} (data.test_percent)")))?;
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
            Split::Stratified => "too rare to be on both sides of the split, so trained on and never tested",
            Split::Random => "not among what data.split: random holds out, so never tested",
        };
        warnings.push(format!("{path}: {why}: {}", shown_list(&untested)));
    }
    Ok((train, test))
}

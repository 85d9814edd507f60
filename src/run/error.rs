//! What can be wrong with a run file, and with what it names.

use crate::params::{Shown, did_you_mean, nearest, shown_list, shown_path, tame};
use crate::{data, nn, schedule, train};
use std::path::{Path, PathBuf};

/// An error of the run room.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file's keys and values, the schedule's among them.
    #[error(transparent)]
    Schedule(#[from] schedule::Error),
    /// The model's sizes.
    #[error(transparent)]
    Nn(#[from] nn::Error),
    /// The data's sizes.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// Model and data do not fit. In a box: errors are kept small.
    #[error(transparent)]
    Train(Box<train::Error>),
    /// A file that cannot be read.
    #[error("{}: {reason}", shown_path(.path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's message.
        reason: String,
    },
    /// A file that is not what it should be.
    #[error("{}{}: {reason}", shown_path(.path), .line.map_or_else(String::new, |line| format!(", line {line}")))]
    BadFile {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on, if it is one line's fault.
        line: Option<u64>,
        /// What is wrong with it.
        reason: String,
    },
    /// A table without a column of this name.
    #[error("{}: there is no column {column:?}{}; its columns are {}", shown_path(.path), near(.column, .columns), shown_list(.columns), column = Shown(.column))]
    NoColumn {
        /// The table.
        path: PathBuf,
        /// The column that is named.
        column: String,
        /// The existing ones.
        columns: Vec<String>,
    },
    /// A setting that a run which continues cannot take.
    #[error("--set {setting}: {} resumes as it began{was}; --set may change {may_be_set}. To begin another run with its parameters use model.from", shown_path(.path), setting = Shown(.setting))]
    OtherRun {
        /// The run's file.
        path: PathBuf,
        /// Key and value.
        setting: String,
        /// What the run has there, in brackets; empty if it has nothing.
        was: String,
        /// What may be set.
        may_be_set: &'static str,
    },
    /// A setting without which the file is sound.
    #[error("--set {setting}: {error}", setting = Shown(.setting))]
    Setting {
        /// Key and value.
        setting: String,
        /// What is wrong with it: part of the message, so not a separate cause.
        error: Box<Error>,
    },
    /// Rows of a table that cannot be used.
    #[error("{}", bad_rows(.path, *.count, *.rows, .shown, *.more, *.may_be_left_out))]
    BadRows {
        /// The table.
        path: PathBuf,
        /// How many.
        count: usize,
        /// Rows there are in all.
        rows: usize,
        /// The first of them: the line, from 1 on or 0 if there are none, and what is wrong.
        shown: Vec<(u64, String)>,
        /// How many are not shown.
        more: usize,
        /// Whether an option can leave them out.
        may_be_left_out: bool,
    },
    /// A class without an example to learn it from.
    #[error("{}: the class {class:?} has no example to train on", shown_path(.path), class = Shown(.class))]
    EmptyClass {
        /// The table.
        path: PathBuf,
        /// The class.
        class: String,
    },
    /// A run that would continue with other data than it began with.
    #[error("{}: the data is not what the run began with: {what}", shown_path(.folder), what = tame(.what))]
    Changed {
        /// The run's folder.
        folder: PathBuf,
        /// What has changed.
        what: String,
    },
}

impl From<train::Error> for Error {
    fn from(error: train::Error) -> Error {
        Error::Train(Box::new(error))
    }
}

impl Error {
    /// Whether the error is in the data, and not about a missing file or the run file.
    pub(super) fn is_of_data(&self) -> bool {
        !matches!(self, Error::Schedule(_) | Error::Nn(_) | Error::Train(_) | Error::Unreadable { .. })
    }

    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Error {
        Error::Unreadable { path: path.to_owned(), reason: error.to_string() }
    }

    pub(super) fn bad_file(path: &Path, reason: impl Into<String>) -> Error {
        Error::BadFile { path: path.to_owned(), line: None, reason: reason.into() }
    }

    pub(super) fn bad_line(path: &Path, line: u64, reason: impl Into<String>) -> Error {
        Error::BadFile { path: path.to_owned(), line: Some(line), reason: reason.into() }
    }
}

/// One bad row is on the same line; several have a line each.
fn bad_rows(
    path: &Path,
    count: usize,
    rows: usize,
    shown: &[(u64, String)],
    more: usize,
    may_be_left_out: bool,
) -> String {
    let path = shown_path(path);
    let way = |which: &str, is_one: bool| match is_one && may_be_left_out {
        true => format!(" (data.skip_bad_rows: true leaves {which} out)"),
        false => String::new(),
    };
    let what = named(shown);
    if let (1, [(line, reason)]) = (count, shown) {
        let which = format!("such {what}");
        return match line {
            0 => format!("{path}: {reason}{}", way(&which, true)),
            _ => format!("{path}, line {line}: {reason}{}", way(&which, true)),
        };
    }
    let ways = way("them", count < rows);
    let mut told = format!("{path}: {count} of {rows} {what} cannot be used{ways}:");
    shown.iter().for_each(|row| told.push_str(&format!("\n  {}", at_line(row))));
    if more > 0 {
        told.push_str(&format!("\n  and {more} more"));
    }
    told
}

/// What a message adds if a known name is close.
pub(super) fn near(name: &str, known: &[String]) -> String {
    did_you_mean(&nearest(name, known.iter().map(String::as_str)))
}

/// A bad row in words.
pub(super) fn at_line((line, reason): &(u64, String)) -> String {
    if *line == 0 { reason.clone() } else { format!("line {line}: {reason}") }
}

/// What bad rows are rows of.
pub(super) fn named(rows: &[(u64, String)]) -> &'static str {
    if rows.iter().all(|(line, _)| *line == 0) { "files" } else { "rows" }
}

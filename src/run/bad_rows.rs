//! Rows that cannot be used: all are counted, the first few are shown.

use super::Error;
use super::error::{at_line, named};
use crate::params::shown_path;
use std::path::Path;

/// Rows of one file that cannot be used: the line that each begins on, and why. What has no line, such as a file of a folder,
/// has line 0, and is named in the reason.
#[derive(Debug, Default)]
pub(super) struct BadRows(Vec<(u64, String)>);

/// How many are shown.
const SHOWN: usize = 5;

impl BadRows {
    pub(super) fn add(&mut self, line: u64, reason: impl Into<String>) {
        self.0.push((line, reason.into()));
    }

    pub(super) fn extend(&mut self, others: BadRows) {
        self.0.extend(others.0);
    }

    /// For a file with `used` good rows: nothing if no row is bad, and a warning if bad rows are skipped.
    ///
    /// # Errors
    /// [`Error::BadRows`], and [`Error::BadFile`] if no row is left.
    pub(super) fn judged(mut self, path: &Path, used: usize, skips: bool) -> Result<Option<String>, Error> {
        if self.0.is_empty() {
            return Ok(None);
        }
        self.0.sort_by_key(|(line, _)| *line);
        let (count, rows) = (self.0.len(), self.0.len() + used);
        let (shown, more) = shown(self.0);
        let error = Error::BadRows { path: path.to_owned(), count, rows, shown, more, may_be_left_out: true };
        match error {
            Error::BadRows { shown, .. } if skips && used > 0 => {
                let reasons: Vec<String> = shown.iter().map(at_line).collect();
                let more = if more > 0 { "; …" } else { "" };
                let (path, what) = (shown_path(path), named(&shown));
                Ok(Some(format!("{path}: {count} of {rows} {what} were left out: {}{more}", reasons.join("; "))))
            }
            error => Err(error),
        }
    }
}

/// The first few, and how many more there are. What is wrong with several files in the same words, such as the class of a folder, is
/// one of them.
fn shown(rows: Vec<(u64, String)>) -> (Vec<(u64, String)>, usize) {
    let mut found: Vec<(u64, String, usize)> = Vec::new();
    for (line, reason) in rows {
        match found.iter_mut().find(|(other, same, _)| line == 0 && *other == 0 && *same == reason) {
            Some((_, _, count)) => *count += 1,
            None => found.push((line, reason, 1)),
        }
    }
    let more = found.iter().skip(SHOWN).map(|(_, _, count)| count).sum();
    let told = |(line, reason, count): (u64, String, usize)| match count {
        1 => (line, reason),
        _ => (line, format!("{reason} ({count} files)")),
    };
    (found.into_iter().take(SHOWN).map(told).collect(), more)
}

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
        self.0.truncate(SHOWN);
        let error = Error::BadRows { path: path.to_owned(), count, rows, shown: self.0, may_be_left_out: true };
        match error {
            Error::BadRows { shown, .. } if skips && used > 0 => {
                let reasons: Vec<String> = shown.iter().map(at_line).collect();
                let more = if count > shown.len() { "; …" } else { "" };
                let (path, what) = (shown_path(path), named(&shown));
                Ok(Some(format!("{path}: {count} of {rows} {what} were left out: {}{more}", reasons.join("; "))))
            }
            error => Err(error),
        }
    }
}

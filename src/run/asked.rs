//! Rows that a trained model is asked about.

use super::read_table::TableFormat;
use super::table::{Cell, Row, Table};
use super::{Error, bad_rows::BadRows};
use crate::data::{NotText, decoded};
use crate::train::files;
use std::path::{Path, PathBuf};

/// How rows are written that a model is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AskedFormat {
    /// A table.
    Table(TableFormat),
    /// A text a line.
    Lines,
}

/// Rows that a model is asked about: a file, or what came through a pipe.
#[derive(Clone, Debug)]
pub struct Asked {
    name: PathBuf,
    bytes: Vec<u8>,
    format: AskedFormat,
}

impl Asked {
    /// These bytes; `name` is what errors call them.
    pub fn of_bytes(name: &Path, bytes: Vec<u8>, format: AskedFormat) -> Asked {
        Asked { name: name.to_owned(), bytes, format }
    }

    /// A file; without other information its extension gives the format.
    ///
    /// # Errors
    /// [`Error::Unreadable`], and [`Error::BadFile`] for another extension.
    pub fn of_file(path: &Path, format: Option<AskedFormat>) -> Result<Asked, Error> {
        let bytes = files::read(path).map_err(|error| Error::unreadable(path, &error))?;
        let format = format.map_or_else(|| TableFormat::of(path).map(AskedFormat::Table), Ok)?;
        Ok(Asked::of_bytes(path, bytes, format))
    }

    /// What errors call it.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// As a table; lines are in this column.
    pub(super) fn table(&self, lines: &str) -> Result<Table, Error> {
        let AskedFormat::Table(format) = self.format else { return self.lines(lines) };
        Table::of_bytes(&self.name, self.bytes.clone(), format, None)
    }

    fn lines(&self, column: &str) -> Result<Table, Error> {
        let text = decoded(self.bytes.clone())
            .map_err(|NotText { line, reason }| Error::bad_line(&self.name, line as u64, reason))?;
        let row = |(line, text): (u64, &str)| Row { line, cells: vec![Cell::Text(text.to_owned())] };
        let rows: Vec<Row> = (1..).zip(text.lines()).map(row).collect();
        if rows.is_empty() {
            return Err(Error::bad_file(&self.name, "there is no line"));
        }
        let (path, columns) = (self.name.clone(), vec![column.to_owned()]);
        Ok(Table { path, columns, rows, bad: BadRows::default(), form: str::to_owned })
    }
}

//! Tables of text.

use super::Error;
use super::bad_rows::BadRows;
use crate::params::Shown;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Rows under named columns.
pub(super) struct Table {
    pub(super) path: PathBuf,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Row>,
    /// Rows that could not be read.
    pub(super) bad: BadRows,
    /// How labels are written: numbers of JSON have one form each.
    pub(super) form: fn(&str) -> String,
}

/// A row, and the line of the file that it begins on, from 1 on.
pub(super) struct Row {
    pub(super) line: u64,
    /// By column; JSON may leave the last ones out.
    pub(super) cells: Vec<Cell>,
}

/// A cell of a column.
pub(super) enum Cell {
    /// A text, or a number as text.
    Text(String),
    /// A list of texts, only in JSON.
    List(Vec<String>),
    /// Nothing: missing or null in JSON.
    Missing,
    /// Something that is neither: why it cannot be used.
    Bad(String),
}

impl Table {
    /// The place of a column, which is there once.
    pub(super) fn column(&self, name: &str) -> Result<usize, Error> {
        column(&self.path, &self.columns, name)
    }

    /// The places of several columns, each of which is there once.
    pub(super) fn columns(&self, names: &[String]) -> Result<Vec<usize>, Error> {
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, name) in self.columns.iter().enumerate() {
            places.entry(name).or_default().push(place);
        }
        let place = |name: &String| match places.get(name.as_str()).map(Vec::as_slice) {
            Some([place]) => Ok(*place),
            // The cell is bad, and says why.
            _ => self.column(name),
        };
        names.iter().map(place).collect()
    }

    /// A row's text, trimmed; an error if it is not text.
    pub(super) fn cell<'a>(&self, row: &'a Row, column: usize) -> Result<&'a str, String> {
        let name = Shown(&self.columns[column]);
        match row.cells.get(column) {
            Some(Cell::Text(text)) => Ok(text.trim()),
            Some(Cell::List(_)) => Err(format!("{name:?} is a list, where a text or a number is read")),
            Some(Cell::Bad(reason)) => Err(format!("{name:?} {reason}")),
            Some(Cell::Missing) | None => Err(format!("{name:?} is missing")),
        }
    }

    /// The same as a list: that of JSON, or the parts between separators. Blanks do not count.
    pub(super) fn list(&self, row: &Row, column: usize, separator: &str) -> Result<Vec<String>, String> {
        let parts: Vec<&str> = match row.cells.get(column) {
            Some(Cell::List(list)) => list.iter().map(String::as_str).collect(),
            _ => self.cell(row, column)?.split(separator).collect(),
        };
        Ok(parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }
}

/// The place of a column, which is there once.
pub(super) fn column(path: &Path, columns: &[String], name: &str) -> Result<usize, Error> {
    let mut places = columns.iter().enumerate().filter(|(_, column)| *column == name).map(|(place, _)| place);
    match (places.next(), places.next()) {
        (Some(place), None) => Ok(place),
        (Some(_), Some(_)) => Err(Error::bad_file(path, format!("the column {:?} occurs twice", Shown(name)))),
        (None, _) => Err(Error::NoColumn { path: path.to_owned(), column: name.to_owned(), columns: columns.to_vec() }),
    }
}

//! Tables of text: CSV, TSV, and JSON lines.

use super::bad_rows::BadRows;
use super::{Error, json_lines, separated};
use crate::data::{NotText, decoded};
use crate::params::Shown;
use crate::train::files;
use std::collections::HashMap;
use std::io::Read;
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

/// What stands under a column.
pub(super) enum Cell {
    /// A text, or a number as text.
    Text(String),
    /// Nothing: JSON leaves it out or says null.
    Missing,
    /// Something that is neither: why it cannot be used.
    Bad(String),
}

impl Table {
    /// Reads a table; its kind is told by the file's extension: `csv`, `tsv`, or `jsonl`. Its labels stand under `label`.
    pub(super) fn read(path: &Path, label: &str) -> Result<Table, Error> {
        // What is no regular file is told before what it is called.
        let mut file = files::open(path).map_err(|error| Error::unreadable(path, &error))?;
        let read = match extension(path).as_str() {
            "csv" => separated::csv,
            "tsv" => separated::tsv,
            "jsonl" | "ndjson" => json_lines::read,
            "json" => {
                let ways =
                    "it may be one JSON value; JSON lines (.jsonl) have an object a line, as jq -c '.[]' writes them";
                return Err(Error::bad_file(path, ways));
            }
            other => {
                let kinds = "csv (commas), tsv (tabs) or jsonl (a JSON object a line)";
                return Err(Error::bad_file(path, format!("the extension {other:?} is no table's: {kinds}")));
            }
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| Error::unreadable(path, &error))?;
        let text = decoded(bytes).map_err(|NotText { line, reason }| Error::bad_line(path, line as u64, reason))?;
        let table = read(path, &text, label)?;
        match table.rows.is_empty() {
            true => table.bad.judged(path, 0, false).and(Err(Error::bad_file(path, "the table has no rows"))),
            false => Ok(table),
        }
    }

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
            // What is wrong is told there.
            _ => self.column(name),
        };
        names.iter().map(place).collect()
    }

    /// What stands in a row, without what is blank around it; what is wrong with it where it is no text.
    pub(super) fn cell<'a>(&self, row: &'a Row, column: usize) -> Result<&'a str, String> {
        let name = Shown(&self.columns[column]);
        match row.cells.get(column) {
            Some(Cell::Text(text)) => Ok(text.trim()),
            Some(Cell::Bad(reason)) => Err(format!("{name:?} {reason}")),
            Some(Cell::Missing) | None => Err(format!("{name:?} is missing")),
        }
    }
}

/// The place of a column, which is there once.
pub(super) fn column(path: &Path, columns: &[String], name: &str) -> Result<usize, Error> {
    let mut places = columns.iter().enumerate().filter(|(_, column)| *column == name).map(|(place, _)| place);
    match (places.next(), places.next()) {
        (Some(place), None) => Ok(place),
        (Some(_), Some(_)) => Err(Error::bad_file(path, format!("the column {:?} is there twice", Shown(name)))),
        (None, _) => Err(Error::NoColumn { path: path.to_owned(), column: name.to_owned(), columns: columns.to_vec() }),
    }
}

/// A file's extension, in small letters.
fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

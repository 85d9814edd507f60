//! Tables of text: CSV, TSV, and JSON lines.

use super::Error;
use crate::train::files;
use std::path::Path;

/// Rows under named columns.
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// A row, and the line of the file that it begins on, from 1 on. JSON may leave a cell out.
pub(super) struct Row {
    pub(super) line: u64,
    cells: Vec<Option<String>>,
}

impl Table {
    /// Reads a table; its kind is told by the file's extension: `csv`, `tsv`, or `jsonl`.
    pub(super) fn read(path: &Path) -> Result<Table, Error> {
        let bytes = files::read(path).map_err(|error| Error::unreadable(path, &error))?;
        let table = match extension(path).as_str() {
            "csv" => Table::separated(path, &bytes, b',')?,
            "tsv" => Table::separated(path, &bytes, b'\t')?,
            "jsonl" | "ndjson" => Table::json_lines(path, &bytes)?,
            other => {
                let kinds = "csv (commas), tsv (tabs) or jsonl (a JSON object a line)";
                return Err(Error::bad_file(path, format!("the extension {other:?} is no table's: {kinds}")));
            }
        };
        if table.rows.is_empty() {
            return Err(Error::bad_file(path, "the table has no rows"));
        }
        if let Some(twice) = repeated(&table.columns) {
            return Err(Error::bad_file(path, format!("the column {twice:?} is there twice")));
        }
        Ok(table)
    }

    fn separated(path: &Path, bytes: &[u8], delimiter: u8) -> Result<Table, Error> {
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(bytes);
        let bad = |error: csv::Error| {
            let line = error.position().map(csv::Position::line);
            Error::BadFile { path: path.to_owned(), line, reason: in_words(&error) }
        };
        let columns = reader.headers().map_err(bad)?.iter().map(|name| name.trim().to_owned()).collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(bad)?;
            let line = record.position().map_or(0, csv::Position::line);
            rows.push(Row { line, cells: record.iter().map(|cell| Some(cell.to_owned())).collect() });
        }
        Ok(Table { columns, rows })
    }

    fn json_lines(path: &Path, bytes: &[u8]) -> Result<Table, Error> {
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Error::bad_file(path, format!("not UTF-8 from byte {} on", error.valid_up_to())))?;
        let mut columns: Vec<String> = Vec::new();
        let mut rows = Vec::new();
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let object: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(text).map_err(|error| Error::bad_line(path, line, error.to_string()))?;
            if columns.is_empty() {
                columns = object.keys().cloned().collect();
            }
            let cell = |column: &String| match object.get(column)? {
                serde_json::Value::String(text) => Some(text.clone()),
                serde_json::Value::Null => None,
                other => Some(other.to_string()),
            };
            rows.push(Row { line, cells: columns.iter().map(cell).collect() });
        }
        Ok(Table { columns, rows })
    }

    /// The place of a column.
    pub(super) fn column(&self, path: &Path, name: &str) -> Result<usize, Error> {
        self.columns.iter().position(|column| column == name).ok_or_else(|| Error::NoColumn {
            path: path.to_owned(),
            column: name.to_owned(),
            columns: self.columns.clone(),
        })
    }
}

impl Table {
    /// A cell, without what is blank around it.
    pub(super) fn cell<'a>(&self, path: &Path, row: &'a Row, column: usize) -> Result<&'a str, Error> {
        let cell = row.cells.get(column).and_then(Option::as_deref).map(str::trim);
        cell.ok_or_else(|| Error::bad_line(path, row.line, format!("{:?} is missing", self.columns[column])))
    }
}

/// The first name that comes twice.
pub(super) fn repeated(names: &[String]) -> Option<&String> {
    names.iter().enumerate().find(|(place, name)| names[..*place].contains(name)).map(|(_, name)| name)
}

/// A file's extension, in small letters.
pub(super) fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// The crate's own words repeat the position, which the message has.
fn in_words(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} columns where the first line has {expected_len}")
        }
        csv::ErrorKind::Utf8 { err, .. } => err.to_string(),
        _ => error.to_string(),
    }
}

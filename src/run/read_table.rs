//! Reading a table of text: CSV, TSV, or JSON lines.

use super::table::Table;
use super::{Error, json_lines, separated};
use crate::data::{NotText, decoded};
use crate::train::files;
use std::io::Read;
use std::path::Path;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableFormat {
    /// Commas.
    Csv,
    /// Tabs.
    Tsv,
    /// A JSON object a line.
    JsonLines,
}

impl TableFormat {
    /// By a file's extension: `csv`, `tsv`, or `jsonl`.
    ///
    /// # Errors
    /// [`Error::BadFile`] for others.
    pub fn of(path: &Path) -> Result<TableFormat, Error> {
        match extension(path).as_str() {
            "csv" => Ok(TableFormat::Csv),
            "tsv" => Ok(TableFormat::Tsv),
            "jsonl" | "ndjson" => Ok(TableFormat::JsonLines),
            "json" => {
                let ways =
                    "it may be one JSON value; JSON lines (.jsonl) have an object a line, as jq -c '.[]' writes them";
                Err(Error::bad_file(path, ways))
            }
            other => {
                let kinds = "csv (commas), tsv (tabs) or jsonl (a JSON object a line)";
                Err(Error::bad_file(path, format!("the extension {other:?} is not that of a table: {kinds}")))
            }
        }
    }
}

impl Table {
    /// Reads a table, whose extension gives the format. Its labels are in `label`, if any.
    pub(super) fn read(path: &Path, label: Option<&str>) -> Result<Table, Error> {
        // What is not a regular file is reported before its name is judged.
        let mut file = files::open(path).map_err(|error| Error::unreadable(path, &error))?;
        let format = TableFormat::of(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| Error::unreadable(path, &error))?;
        Table::of_bytes(path, bytes, format, label)
    }

    /// The same of what a file holds, or of what came through a pipe.
    pub(super) fn of_bytes(
        path: &Path,
        bytes: Vec<u8>,
        format: TableFormat,
        label: Option<&str>,
    ) -> Result<Table, Error> {
        let read = match format {
            TableFormat::Csv => separated::csv,
            TableFormat::Tsv => separated::tsv,
            TableFormat::JsonLines => json_lines::read,
        };
        let text = decoded(bytes).map_err(|NotText { line, reason }| Error::bad_line(path, line as u64, reason))?;
        let table = read(path, &text, label)?;
        match table.rows.is_empty() {
            true => table.bad.judged(path, 0, false).and(Err(Error::bad_file(path, "the table has no rows"))),
            false => Ok(table),
        }
    }
}

/// A file's extension, in small letters.
fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

//! Reading a table of text: CSV, TSV, or JSON lines.

use super::table::Table;
use super::{Error, json_lines, separated};
use crate::data::{NotText, decoded};
use crate::train::files;
use std::io::Read;
use std::path::Path;

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
}

/// A file's extension, in small letters.
fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

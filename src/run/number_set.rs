//! Rows of numbers on their way to a data set.

use super::Error;
use super::examples::Example;
use super::inputs::Column;
use crate::data::DataSet;
use std::path::Path;

/// A row of numbers. They stay f64 until they are centred and scaled: f32 does not tell a second from the next of what
/// counts seconds since 1970.
pub(super) type NumberRow = Example<Vec<f64>, u32>;

/// The rows of a file as a model reads them.
pub(super) fn number_set(
    path: &Path,
    rows: &[NumberRow],
    columns: &[Column],
    classes: usize,
) -> Result<DataSet, Error> {
    let mut values = Vec::with_capacity(rows.len() * columns.len());
    for row in rows {
        for (number, column) in row.input.iter().zip(columns) {
            values.push(column.scaled(*number).map_err(|reason| Error::bad_line(path, row.line, reason))?);
        }
    }
    Ok(DataSet::new(columns.len(), classes, values, rows.iter().map(|row| row.label).collect())?)
}

//! Labelled examples of a table.

use super::Error;
use super::bad_rows::BadRows;
use super::table::{Row, Table};
use crate::params::Shown;
use std::path::{Path, PathBuf};

/// An example, and the line of its file.
pub(super) struct Example<T, L> {
    pub(super) line: u64,
    pub(super) input: T,
    pub(super) label: L,
}

impl<T, L> Example<T, L> {
    /// With another label.
    pub(super) fn labelled<M>(self, label: impl FnOnce(L) -> M) -> Example<T, M> {
        Example { line: self.line, input: self.input, label: label(self.label) }
    }
}

/// Examples, and a warning where rows were left out.
pub(super) type Judged<T, L> = (Vec<Example<T, L>>, Option<String>);

/// Names of columns, and their numbers.
pub(super) type Columns = (Vec<String>, Examples<Vec<f64>, String>);

/// The examples of a file, and the rows that are none.
pub(super) struct Examples<T, L> {
    pub(super) path: PathBuf,
    pub(super) rows: Vec<Example<T, L>>,
    pub(super) bad: BadRows,
    /// How labels are written in the file.
    pub(super) form: fn(&str) -> String,
}

impl<T, L> Examples<T, L> {
    pub(super) fn of(
        table: Table,
        input: impl Fn(&Table, &Row) -> Result<T, String>,
        label: impl Fn(&Table, &Row) -> Result<L, String>,
    ) -> Self {
        let mut bad = BadRows::default();
        let mut rows = Vec::with_capacity(table.rows.len());
        for row in &table.rows {
            match input(&table, row).and_then(|input| Ok(Example { line: row.line, input, label: label(&table, row)? }))
            {
                Ok(example) => rows.push(example),
                Err(reason) => bad.add(row.line, reason),
            }
        }
        bad.extend(table.bad);
        Examples { path: table.path, rows, bad, form: table.form }
    }

    /// With other labels.
    pub(super) fn labelled<M>(self, label: impl Fn(L) -> M) -> Examples<T, M> {
        let rows = self.rows.into_iter().map(|row| row.labelled(&label)).collect();
        Examples { path: self.path, rows, bad: self.bad, form: self.form }
    }

    /// Without the examples that something is wrong with.
    pub(super) fn keep(&mut self, wrong: impl Fn(&Example<T, L>) -> Option<String>) {
        let bad = &mut self.bad;
        self.rows.retain(|row| wrong(row).map(|reason| bad.add(row.line, reason)).is_none());
    }

    /// The examples, and a warning where rows were left out.
    pub(super) fn judged(self, skips: bool) -> Result<Judged<T, L>, Error> {
        let warning = self.bad.judged(&self.path, self.rows.len(), skips)?;
        Ok((self.rows, warning))
    }
}

/// Rows of finite numbers with their labels: those of these columns, or of all but the label's.
pub(super) fn numbers(path: &Path, label: &str, features: &[String]) -> Result<Columns, Error> {
    let table = Table::read(path, Some(label))?;
    let places = match features {
        [] => all_but(&table, label)?,
        named => table.columns(named)?,
    };
    let names = places.iter().map(|place| table.columns[*place].clone()).collect();
    let label = table.column(label)?;
    let input = |table: &Table, row: &Row| places.iter().map(|place| number(table, row, *place)).collect();
    Ok((names, Examples::of(table, input, |table, row| class(table, row, label))))
}

/// Rows of finite numbers of a table, those of these columns, without labels.
pub(super) fn unlabelled_numbers(table: Table, features: &[String]) -> Result<Examples<Vec<f64>, ()>, Error> {
    let places = table.columns(features)?;
    let input = |table: &Table, row: &Row| places.iter().map(|place| number(table, row, *place)).collect();
    Ok(Examples::of(table, input, |_, _| Ok(())))
}

/// A finite number.
pub(super) fn number(table: &Table, row: &Row, place: usize) -> Result<f64, String> {
    let cell = table.cell(row, place)?;
    finite(&table.columns[place], cell)
}

/// The finite number that a cell of this column holds.
pub(super) fn finite(name: &str, cell: &str) -> Result<f64, String> {
    let name = Shown(name);
    match cell.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ if cell.is_empty() => Err(format!("{name} is empty")),
        _ => Err(format!("{name} = {:?} is not a finite number", Shown(cell))),
    }
}

/// The class of a row.
pub(super) fn class(table: &Table, row: &Row, label: usize) -> Result<String, String> {
    match table.cell(row, label)? {
        "" => Err("the label is empty".to_owned()),
        label => Ok(label.to_owned()),
    }
}

/// All columns except the label. One without a name is an index, as pandas writes it, unless it is empty.
fn all_but(table: &Table, label: &str) -> Result<Vec<usize>, Error> {
    let label = table.column(label)?;
    let is_empty = |place: usize| table.rows.iter().all(|row| table.cell(row, place).is_ok_and(str::is_empty));
    let mut places: Vec<usize> = (0..table.columns.len()).filter(|place| *place != label).collect();
    places.retain(|place| !table.columns[*place].is_empty() || !is_empty(*place));
    let bad = |reason: String| Error::bad_file(&table.path, reason);
    if let Some(place) = places.iter().find(|place| table.columns[**place].is_empty()) {
        let place = place + 1;
        return Err(bad(format!(
            "column {place} has no name; it may be an index, as pandas writes one: name the columns that go in by \
             data.features"
        )));
    }
    let mut names: Vec<&String> = places.iter().map(|place| &table.columns[*place]).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(bad(format!("the column {:?} occurs twice", Shown(twice[0]))));
    }
    match places.is_empty() {
        true => Err(bad(format!("there is no column beside the label {:?}", Shown(&table.columns[label])))),
        false => Ok(places),
    }
}

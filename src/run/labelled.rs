//! Rows of a file with labels that are known already: those of a run, or of a model that has been trained.

use super::examples::{self, Example, Examples};
use super::known::Known;
use super::picture_set::Pixels;
use super::text_set::Target;
use super::texts::{Label, TextColumns, TextRow, marked, numbers};
use super::{Error, PictureData, ReadOptions};
use std::path::Path;

/// Texts with their targets; a label that is not known makes a bad row.
pub(super) fn texts(
    path: &Path,
    columns: &TextColumns,
    label: &Label,
    known: &Known,
) -> Result<Examples<TextRow, Target>, Error> {
    let there = label.columns();
    let marks = |mut examples: Examples<TextRow, Vec<String>>| {
        examples.keep(|row| row.label.iter().find_map(|label| known.not_trained(label)));
        examples.labelled(|said: Vec<String>| Target::Numbers(known.marks(&said)))
    };
    Ok(match label {
        Label::Class { .. } => {
            let mut examples = columns.labelled(path, there, |table, row, at| examples::class(table, row, at[0]))?;
            examples.keep(|row| known.not_trained(&row.label));
            examples.labelled(|label: String| Target::Class(known.place(&label).unwrap_or_default()))
        }
        Label::Names { separator, .. } => {
            marks(columns.labelled(path, there, |table, row, at| table.list(row, at[0], separator))?)
        }
        Label::Marks(_) => marks(columns.labelled(path, there, marked)?),
        Label::Numbers(_) => columns.labelled(path, there, numbers)?.labelled(Target::Numbers),
    })
}

/// Rows of numbers with their classes.
pub(super) fn rows(
    path: &Path,
    label: &str,
    names: &[String],
    known: &Known,
) -> Result<Examples<Vec<f64>, u32>, Error> {
    let (_, mut examples) = examples::numbers(path, label, names)?;
    examples.keep(|row: &Example<Vec<f64>, String>| known.not_trained(&row.label));
    Ok(examples.labelled(|label: String| known.place(&label).unwrap_or_default()))
}

/// Pictures with their classes; `labels` is the file of the labels of IDX files.
pub(super) fn pictures(
    (path, labels): (&Path, Option<&Path>),
    data: &PictureData,
    known: &Known,
    options: ReadOptions<'_>,
) -> Result<Examples<Pixels, u32>, Error> {
    let mut examples = data.examples(path, labels, options)?;
    examples.keep(|row| known.not_trained(&row.label));
    Ok(examples.labelled(|label: String| known.place(&label).unwrap_or_default()))
}

/// All rows, or what is wrong with those that cannot be used: none is left out.
pub(super) fn whole<T, L>(examples: Examples<T, L>) -> Result<Vec<Example<T, L>>, Error> {
    match examples.judged(false) {
        Err(Error::BadRows { path, count, rows, shown, more, .. }) => {
            Err(Error::BadRows { path, count, rows, shown, more, may_be_left_out: false })
        }
        judged => Ok(judged?.0),
    }
}

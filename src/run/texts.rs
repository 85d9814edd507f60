//! Texts of a table, with their features and labels.

use super::Error;
use super::examples::{self, Examples};
use super::table::{Row, Table};
use crate::data::TextInput;
use crate::params::Shown;
use std::path::Path;

/// The columns of a table that a model of text reads.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TextColumns {
    /// `text`: the column of the texts.
    pub text: String,
    /// `text_pair`: the column of second texts, for pairs.
    pub pair: Option<String>,
    /// `features`: columns of numbers and categories beside the text.
    pub features: Vec<String>,
}

/// How a text is labelled.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Label {
    /// `label`: the column of its class.
    Class {
        /// The column.
        column: String,
        /// `classes`: the labels, in the order of the outputs; by default those of the train set.
        classes: Vec<String>,
    },
    /// `label`: the column of its labels, of which there may be any number.
    Names {
        /// The column.
        column: String,
        /// `label_separator`: what separates two labels.
        separator: String,
        /// `classes`, as for one class.
        classes: Vec<String>,
    },
    /// `labels`: a column for each label, which holds 1 or 0.
    Marks(Vec<String>),
    /// `label` or `labels`: the columns of the numbers to predict.
    Numbers(Vec<String>),
}

impl Label {
    /// Its columns.
    pub fn columns(&self) -> &[String] {
        match self {
            Label::Class { column, .. } | Label::Names { column, .. } => std::slice::from_ref(column),
            Label::Marks(columns) | Label::Numbers(columns) => columns,
        }
    }
}

/// A row of texts.
pub(super) struct TextRow {
    pub(super) text: String,
    pub(super) pair: Option<String>,
    /// The cell of each column of features.
    pub(super) features: Vec<String>,
}

impl TextRow {
    /// The text to tokenize; it begins on this line.
    pub(super) fn tokenized(&self, line: u64) -> TextInput<'_> {
        TextInput::new(&self.text).pair(self.pair.as_deref()).line(line)
    }
}

/// The places of the columns in a table.
struct Places {
    text: usize,
    pair: Option<usize>,
    features: Vec<usize>,
}

impl TextColumns {
    fn places(&self, table: &Table) -> Result<Places, Error> {
        Ok(Places {
            text: table.column(&self.text)?,
            pair: self.pair.as_ref().map(|pair| table.column(pair)).transpose()?,
            features: table.columns(&self.features)?,
        })
    }

    /// The texts of a table without labels.
    pub(super) fn unlabelled(&self, table: Table) -> Result<Examples<TextRow, ()>, Error> {
        let places = self.places(&table)?;
        Ok(Examples::of(table, |table, row| places.row(table, row), |_, _| Ok(())))
    }

    /// The texts of a file, each with what `label` reads from the places of its columns.
    pub(super) fn labelled<L>(
        &self,
        path: &Path,
        columns: &[String],
        label: impl Fn(&Table, &Row, &[usize]) -> Result<L, String>,
    ) -> Result<Examples<TextRow, L>, Error> {
        let table = Table::read(path, columns.first().map(String::as_str))?;
        let places = self.places(&table)?;
        let labels = table.columns(columns)?;
        Ok(Examples::of(table, |table, row| places.row(table, row), |table, row| label(table, row, &labels)))
    }
}

impl Places {
    fn row(&self, table: &Table, row: &Row) -> Result<TextRow, String> {
        let text = match table.cell(row, self.text)? {
            words if words.chars().all(is_unseen) => return Err("the text is empty".to_owned()),
            words => words.to_owned(),
        };
        let seen = |place: usize| match table.cell(row, place)? {
            words if words.chars().all(is_unseen) => Err(format!("{:?} is empty", Shown(&table.columns[place]))),
            words => Ok(words.to_owned()),
        };
        let features = self.features.iter().map(|place| seen(*place)).collect::<Result<_, String>>()?;
        Ok(TextRow { text, pair: self.pair.map(seen).transpose()?, features })
    }
}

/// Blanks, and characters without any width that pages and word processors leave behind.
fn is_unseen(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// The labels of a row whose column has this for `1` or `0`: the names of those that are there.
pub(super) fn marked(table: &Table, row: &Row, places: &[usize]) -> Result<Vec<String>, String> {
    let mut there = Vec::new();
    for place in places {
        let name = &table.columns[*place];
        match table.cell(row, *place)? {
            "1" | "1.0" | "true" | "True" | "TRUE" => there.push(name.clone()),
            "0" | "0.0" | "false" | "False" | "FALSE" => {}
            other => return Err(format!("{:?} = {:?} is neither 1 nor 0", Shown(name), Shown(other))),
        }
    }
    Ok(there)
}

/// The numbers of a row to predict, as f32.
pub(super) fn numbers(table: &Table, row: &Row, places: &[usize]) -> Result<Vec<f32>, String> {
    let number = |place: &usize| match examples::number(table, row, *place)? as f32 {
        number if number.is_finite() => Ok(number),
        _ => Err(format!("{} is more than 32 bits hold", Shown(&table.columns[*place]))),
    };
    places.iter().map(number).collect()
}

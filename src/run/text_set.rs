//! Texts of a table on their way to sequences of tokens.

use super::examples::Example;
use super::inputs::Column;
use super::texts::TextRow;
use super::{Error, RunFile};
use crate::data::{Encoded, Sequence, SequenceSizes, Sequences, TextInput, Tokenizer, Told, UnknownCharacters};
use crate::nn::{Model, Network};
use std::path::Path;

/// What a text is labelled with: a class, or a number for each output.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Class(u32),
    Numbers(Vec<f32>),
}

/// What the sequences may hold that a run's model reads.
pub(super) fn sequence_sizes(run: &RunFile, model: &Model) -> SequenceSizes {
    SequenceSizes {
        context: run.model.context,
        vocabulary: model.sizes().map_or(0, |sizes| sizes.vocab),
        types: model.types().max(1),
        classes: model.outputs(),
    }
}

pub(super) type TextRows = Vec<Example<TextRow, Target>>;

/// Makes sequences of rows, and counts what to warn about.
pub(super) struct TextSets<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) sizes: SequenceSizes,
    pub(super) features: &'a [Column],
    pub(super) told: Told<'a>,
    /// Texts that were cut so far.
    pub(super) cut: usize,
    /// Categories outside the train set, and where they are.
    pub(super) unseen: Vec<String>,
}

impl TextSets<'_> {
    /// The tokens of all rows, and the characters without a token.
    pub(super) fn encoded(&mut self, rows: &TextRows) -> Result<(Vec<Encoded>, UnknownCharacters), Error> {
        let inputs: Vec<TextInput<'_>> = rows.iter().map(|row| row.input.tokenized(row.line)).collect();
        let encoded = self.tokenizer.encode_all(&inputs, self.sizes.context, self.told)?;
        let mut unknown = UnknownCharacters::default();
        encoded.iter().for_each(|encoded| unknown.extend(&encoded.unknown));
        self.cut += encoded.iter().filter(|encoded| encoded.cut).count();
        Ok((encoded, unknown))
    }

    /// The rows of a file as sequences, with their targets and features.
    pub(super) fn set(&mut self, rows: &TextRows, encoded: Vec<Encoded>, file: &str) -> Result<Sequences, Error> {
        let mut sequences = Vec::with_capacity(rows.len());
        let mut targets = Vec::new();
        for (row, encoded) in rows.iter().zip(encoded) {
            if encoded.tokens.is_empty() {
                let reason = "no character of the text is in the vocabulary";
                return Err(Error::bad_line(Path::new(file), row.line, reason));
            }
            let label = match &row.label {
                Target::Class(class) => *class,
                Target::Numbers(numbers) => {
                    targets.extend(numbers);
                    0
                }
            };
            let types = if self.sizes.types > 1 { encoded.types } else { Vec::new() };
            sequences.push(Sequence { tokens: encoded.tokens, types, label });
        }
        let mut set = Sequences::new(self.sizes, &sequences)?;
        if !targets.is_empty() {
            set = set.with_columns("targets", self.sizes.classes, targets)?;
        }
        if !self.features.is_empty() {
            let width = self.features.iter().map(Column::width).sum();
            set = set.with_columns("features", width, self.features_of(rows, file)?)?;
        }
        Ok(set)
    }

    fn features_of(&mut self, rows: &TextRows, file: &str) -> Result<Vec<f32>, Error> {
        let mut values = Vec::new();
        for row in rows {
            for (column, cell) in self.features.iter().zip(&row.input.features) {
                let known = column.put(cell, &mut values);
                if !known.map_err(|reason| Error::bad_line(Path::new(file), row.line, reason))? {
                    self.unseen.push(format!("{cell:?} of {:?} on line {}", column.name, row.line));
                }
            }
        }
        Ok(values)
    }

    /// The warning about texts that were cut, among so many.
    pub(super) fn told_of_cut(&self, all: usize) -> Option<String> {
        let (cut, context) = (self.cut, self.sizes.context);
        let unit = if self.tokenizer.vocabulary().is_some() { "characters" } else { "tokens" };
        let words = || format!("{cut} of {all} texts are longer than {context} {unit} and were cut (model.context)");
        (cut > 0).then(words)
    }

    /// The warning about categories that the train set does not have.
    pub(super) fn told_of_unseen(&self, file: &str) -> Option<String> {
        let (first, count) = (self.unseen.first()?, self.unseen.len());
        let what = "of its categories are not in the train set, so all their inputs are 0; the first is";
        Some(format!("{file}: {count} {what} {first}"))
    }
}

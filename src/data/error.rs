//! What can be wrong with a data set.

use super::UnknownCharacters;
use crate::params::tame_line;

/// An error of the data room.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The numbers do not make whole rows, or rows and labels disagree.
    #[error("{values} numbers and {labels} labels do not make rows of {inputs} numbers with a label each")]
    BadSize {
        /// Numbers given.
        values: usize,
        /// Labels given.
        labels: usize,
        /// Numbers a row.
        inputs: usize,
    },
    /// A label that is not a class.
    #[error("row {row} has the label {label}, but there are {classes} classes (0 to {})", .classes - 1)]
    BadLabel {
        /// The row.
        row: usize,
        /// Its label.
        label: u32,
        /// Classes there are.
        classes: usize,
    },
    /// An augmentation of pictures that cannot be.
    #[error("pictures cannot be augmented in this way: {reason}")]
    BadAugmentation {
        /// What is wrong.
        reason: &'static str,
    },
    /// A part of a split would be empty.
    #[error("{rows} rows cannot be split with {test_percent} % held out")]
    BadSplit {
        /// Rows there are.
        rows: usize,
        /// Share of the test set in percent.
        test_percent: usize,
    },
    /// A text of no characters, or a stream of no tokens.
    #[error("{name}: the text is empty", name = tame_line(.name))]
    EmptyText {
        /// The text.
        name: String,
    },
    /// Bytes that are not UTF-8.
    #[error("{name}, line {line}: {reason}", name = tame_line(.name))]
    NotUtf8 {
        /// The text.
        name: String,
        /// The line of the first byte that does not belong, from 1 on.
        line: usize,
        /// What the bytes are, if that is known.
        reason: String,
    },
    /// Characters that the vocabulary does not have.
    #[error("{name}: {characters}, not in the vocabulary", name = tame_line(.name))]
    UnknownCharacters {
        /// The text.
        name: String,
        /// All of them.
        characters: UnknownCharacters,
    },
    /// A list of characters that is empty or names one twice.
    #[error("a vocabulary needs characters, each once: {reason}")]
    BadVocabulary {
        /// What is wrong.
        reason: String,
    },
    /// A bad `tokenizer.json`, or something that it cannot do.
    #[error("{name}: {reason}", name = tame_line(.name), reason = tame_line(.reason))]
    BadTokenizer {
        /// The file.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A token that the vocabulary does not have.
    #[error("token {place} is {token}, but the vocabulary has {vocabulary} entries (0 to {})", .vocabulary.saturating_sub(1))]
    TokenOutOfRange {
        /// Its place, from 0 on.
        place: usize,
        /// The token.
        token: u32,
        /// Entries of the vocabulary.
        vocabulary: usize,
    },
    /// A part of a text's split would be empty.
    #[error("{tokens} tokens cannot be split with {percent} % held out")]
    BadTextSplit {
        /// Tokens there are.
        tokens: usize,
        /// Share that is held out in percent.
        percent: usize,
    },
    /// A text with no room for one context and the token after it.
    #[error("a context of {context} tokens needs a text of {} at least; there are {tokens}", .context + 1)]
    TextTooShort {
        /// Tokens there are.
        tokens: usize,
        /// Tokens of a context.
        context: usize,
    },
    /// A text of more tokens than 32 bits count.
    #[error("{tokens} tokens are more than a stream can hold, {}", u32::MAX - 1)]
    TextTooLong {
        /// Tokens there are.
        tokens: usize,
    },
    /// More than a step can draw from, or sizes of a batch that make no step.
    #[error("batch_size = {rows} in {micro_batches} micro-batches from {samples} samples: {reason}")]
    BadBatch {
        /// Samples there are.
        samples: usize,
        /// Rows of a micro-batch.
        rows: usize,
        /// Micro-batches of a step.
        micro_batches: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A sequence that does not fit its set.
    #[error("sequence {sequence}: {reason}")]
    BadSequence {
        /// Which, from 0 on.
        sequence: usize,
        /// What is wrong.
        reason: String,
    },
    /// Sizes that make no set of sequences.
    #[error("a set of sequences: {reason}")]
    BadSequences {
        /// What is wrong.
        reason: &'static str,
    },
}

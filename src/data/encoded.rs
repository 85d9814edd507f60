//! A text for a model, and its tokens.

use super::UnknownCharacters;

/// A text, or two that belong together.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TextInput<'a> {
    /// The text.
    pub text: &'a str,
    /// The second text of a pair.
    pub pair: Option<&'a str>,
    /// The line of its file that it begins on, from 1 on.
    pub line: u64,
}

impl<'a> TextInput<'a> {
    /// A single text, on the first line.
    pub fn new(text: &'a str) -> TextInput<'a> {
        TextInput { text, pair: None, line: 1 }
    }

    /// With a second text.
    #[must_use]
    pub fn pair(self, pair: Option<&'a str>) -> TextInput<'a> {
        TextInput { pair, ..self }
    }

    /// On this line.
    #[must_use]
    pub fn line(self, line: u64) -> TextInput<'a> {
        TextInput { line, ..self }
    }
}

/// A text as tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Encoded {
    /// The tokens, special ones among them.
    pub tokens: Vec<u32>,
    /// A type for each token: 1 for those of a second text. Empty if all are 0.
    pub types: Vec<u32>,
    /// Whether the text was longer than the context.
    pub cut: bool,
    /// Characters without a token; a `tokenizer.json` handles them itself and lists none.
    pub unknown: UnknownCharacters,
}

/// How many tokens are left of two texts in so much room: the longer one is cut first, as `truncation=True` of
/// transformers does.
pub(super) fn longest_first([first, second]: [usize; 2], room: usize) -> [usize; 2] {
    if first + second <= room {
        return [first, second];
    }
    let (short, half) = (first.min(second), room / 2);
    let [short, long] = if short <= half { [short, room - short] } else { [half, room - half] };
    if first <= second { [short, long] } else { [long, short] }
}

//! Texts as the tokens that a model reads: by characters, or by the `tokenizer.json` of a Hugging Face folder.

use super::all_cores::{self, Told};
use super::characters::Characters;
#[cfg(feature = "tokenizers")]
use super::tokenizer_file::TokenizerFile;
use super::{Error, Text, UnknownCharacters, Vocabulary};
#[cfg(feature = "tokenizers")]
use std::sync::Arc;

/// Makes tokens of texts.
#[derive(Clone, Debug)]
pub struct Tokenizer(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Characters(Characters),
    #[cfg(feature = "tokenizers")]
    File(Arc<TokenizerFile>),
}

/// A text, or two that belong together.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TextInput<'a> {
    /// The text.
    pub text: &'a str,
    /// The second text, where a model reads pairs.
    pub pair: Option<&'a str>,
    /// The line of its file that it begins on, from 1 on.
    pub line: u64,
}

impl<'a> TextInput<'a> {
    /// A text alone, on the first line.
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
    /// A type for each token: 1 for those of a second text. Empty where all are 0.
    pub types: Vec<u32>,
    /// Whether the text was longer than the context.
    pub cut: bool,
    /// Characters that no token stands for; a `tokenizer.json` has its own way with them and tells of none.
    pub unknown: UnknownCharacters,
}

/// Texts that a core takes at a time.
const SHARE: usize = 64;

impl Tokenizer {
    /// A token for each character. Others are left out, or one token stands for all of them where `unknown` is one.
    pub fn characters(vocabulary: Vocabulary, unknown: Option<u32>) -> Tokenizer {
        Tokenizer(Kind::Characters(Characters { vocabulary, unknown }))
    }

    /// The tokenizer of a `tokenizer.json`; `name` is what errors call it. What the file says of padding and of truncation
    /// is put aside.
    ///
    /// # Errors
    /// [`Error::BadTokenizer`] for what is none, and without the feature `tokenizers`.
    #[cfg_attr(not(feature = "tokenizers"), allow(unused_variables, reason = "nothing reads it"))]
    pub fn of_json(name: &str, json: Vec<u8>) -> Result<Tokenizer, Error> {
        #[cfg(feature = "tokenizers")]
        return Ok(Tokenizer(Kind::File(Arc::new(TokenizerFile::new(name, json)?))));
        #[cfg(not(feature = "tokenizers"))]
        Err(Error::BadTokenizer {
            name: name.to_owned(),
            reason: "this program was built without the feature tokenizers, which reads it".to_owned(),
        })
    }

    /// Entries that a model's table needs.
    pub fn vocabulary_size(&self) -> usize {
        match &self.0 {
            Kind::Characters(characters) => characters.vocabulary.len(),
            #[cfg(feature = "tokenizers")]
            Kind::File(file) => file.entries,
        }
    }

    /// The token that fills what a text leaves of its context, where there is one.
    pub fn pad_token(&self) -> Option<u32> {
        match &self.0 {
            Kind::Characters(_) => None,
            #[cfg(feature = "tokenizers")]
            Kind::File(file) => file.pad,
        }
    }

    /// The characters, where tokens are characters.
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        match &self.0 {
            Kind::Characters(characters) => Some(&characters.vocabulary),
            #[cfg(feature = "tokenizers")]
            Kind::File(_) => None,
        }
    }

    /// As a `tokenizer.json`: the file as it was read, or one that makes the same tokens of characters.
    pub fn to_json(&self) -> String {
        match &self.0 {
            Kind::Characters(characters) => characters.to_json(),
            #[cfg(feature = "tokenizers")]
            Kind::File(file) => file.json.clone(),
        }
    }

    /// A text as at most `context` tokens. What is longer is cut at its end, special tokens are kept, and of two texts the
    /// longer one is cut first.
    ///
    /// # Errors
    /// [`Error::BadTokenizer`] for a context without room for a token beside the special ones, and for what the tokenizer
    /// cannot tokenize.
    pub fn encode(&self, input: TextInput<'_>, context: usize) -> Result<Encoded, Error> {
        match &self.0 {
            Kind::Characters(characters) => Ok(characters.encode(input, context)),
            #[cfg(feature = "tokenizers")]
            Kind::File(file) => file.encode(input, context),
        }
    }

    /// The same of many texts, on all cores; `told` hears how many are done.
    ///
    /// # Errors
    /// As [`encode`](Tokenizer::encode), of the first text that has one.
    pub fn encode_all(&self, inputs: &[TextInput<'_>], context: usize, told: Told<'_>) -> Result<Vec<Encoded>, Error> {
        all_cores::map(inputs, SHARE, |input| self.encode(*input, context), told).into_iter().collect()
    }

    /// A whole text as tokens, without special ones: what a decoder learns from. Characters that no token stands for are
    /// added to `unknown`.
    ///
    /// # Errors
    /// [`Error::BadTokenizer`] for what the tokenizer cannot tokenize.
    #[cfg_attr(not(feature = "tokenizers"), allow(unused_variables, reason = "characters are quick"))]
    pub fn stream(&self, text: &Text, unknown: &mut UnknownCharacters, told: Told<'_>) -> Result<Vec<u32>, Error> {
        match &self.0 {
            Kind::Characters(Characters { vocabulary, unknown: instead }) => {
                Ok(vocabulary.encode_known((text.as_str(), 1), *instead, unknown))
            }
            #[cfg(feature = "tokenizers")]
            Kind::File(file) => file.stream(text.as_str(), told),
        }
    }
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

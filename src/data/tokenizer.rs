//! Texts as the tokens that a model reads: by characters, or by the `tokenizer.json` of a Hugging Face folder.

use super::all_cores::{self, Told};
use super::characters::Characters;
#[cfg(feature = "tokenizers")]
use super::tokenizer_file::TokenizerFile;
use super::{Encoded, Error, Text, TextInput, UnknownCharacters, Vocabulary};
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

/// Texts that a core takes at a time.
const SHARE: usize = 64;

impl Tokenizer {
    /// A token for each character. Others are left out, or become the token `unknown`, if it is given.
    pub fn characters(vocabulary: Vocabulary, unknown: Option<u32>) -> Tokenizer {
        Tokenizer(Kind::Characters(Characters { vocabulary, unknown }))
    }

    /// The tokenizer of a `tokenizer.json`; `name` is for errors. The file's padding and truncation settings are
    /// ignored.
    ///
    /// # Errors
    /// [`Error::BadTokenizer`] for another file, and without the feature `tokenizers`.
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

    /// The token for padding, if any.
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

    /// A text as at most `context` tokens. A longer text is cut at its end, special tokens stay, and of two texts the
    /// longer one is cut first.
    ///
    /// # Errors
    /// [`Error::BadTokenizer`] for a context with room for special tokens only, and for text that the tokenizer cannot
    /// tokenize.
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

    /// A whole text as tokens, without special ones, for a decoder. Characters without a token are added to `unknown`.
    ///
    /// # Errors
    /// [`Error::BadTokenizer`] for text that the tokenizer cannot tokenize.
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

    /// The text of these tokens, without special ones.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`], [`Error::BadTokenizer`].
    pub fn decode(&self, tokens: &[u32]) -> Result<String, Error> {
        match &self.0 {
            Kind::Characters(characters) => characters.vocabulary.decode(tokens),
            #[cfg(feature = "tokenizers")]
            Kind::File(file) => file.decode(tokens),
        }
    }
}

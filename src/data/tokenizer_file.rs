//! The `tokenizer.json` of a Hugging Face folder, read by the crate `tokenizers`, which only this file names.

use super::all_cores::Told;
use super::{Encoded, Error, TextInput, UnknownCharacters, cuts};
use tokenizers::{PostProcessor, Tokenizer, TruncationParams, truncate_encodings};

/// A tokenizer that a file describes.
#[derive(Debug)]
pub(super) struct TokenizerFile {
    name: String,
    /// The file as it was read.
    pub(super) json: String,
    tokenizer: Tokenizer,
    /// Entries that a table needs: one more than the largest token.
    pub(super) entries: usize,
    pub(super) pad: Option<u32>,
}

/// The name of the padding token, if a file has no section about it.
const PADS: [&str; 3] = ["[PAD]", "<pad>", "<|pad|>"];

impl TokenizerFile {
    pub(super) fn new(name: &str, json: Vec<u8>) -> Result<TokenizerFile, Error> {
        let bad = |reason: String| Error::BadTokenizer { name: name.to_owned(), reason };
        let json = String::from_utf8(json).map_err(|_| bad("it is not UTF-8".to_owned()))?;
        let mut tokenizer = Tokenizer::from_bytes(&json)
            .map_err(|error| bad(format!("the crate tokenizers 0.23 cannot read it: {error}")))?;
        let of_section = tokenizer.get_padding().map(|padding| padding.pad_token.clone());
        let pad = of_section.iter().map(String::as_str).chain(PADS).find_map(|name| tokenizer.token_to_id(name));
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| bad(error.to_string()))?;
        let entries = tokenizer.get_vocab(true).into_values().max().map_or(0, |most| most as usize + 1);
        if entries == 0 {
            return Err(bad("its vocabulary is empty".to_owned()));
        }
        Ok(TokenizerFile { name: name.to_owned(), json, tokenizer, entries, pad })
    }

    fn bad(&self, reason: impl ToString) -> Error {
        Error::BadTokenizer { name: self.name.clone(), reason: reason.to_string() }
    }

    pub(super) fn encode(&self, input: TextInput<'_>, context: usize) -> Result<Encoded, Error> {
        let alone = |text: &str| self.tokenizer.encode_fast(text, false).map_err(|error| self.bad(error));
        let (first, mut second) = (alone(input.text)?, input.pair.map(alone).transpose()?);
        if let Some(second) = &mut second {
            second.set_type_ids(vec![1; second.len()]);
        }
        let special = self.tokenizer.get_post_processor().map_or(0, |post| post.added_tokens(second.is_some()));
        let room = context.checked_sub(special).filter(|room| *room > 0).ok_or_else(|| {
            self.bad(format!("it adds {special} special tokens, which leave no room in a context of {context}"))
        })?;
        let cut = first.len() + second.as_ref().map_or(0, |second| second.len()) > room;
        let within = TruncationParams { max_length: room, ..TruncationParams::default() };
        let (mut first, mut second) = truncate_encodings(first, second, &within).map_err(|error| self.bad(error))?;
        // What was cut off is kept there, and would get its special tokens too.
        first.take_overflowing();
        if let Some(second) = &mut second {
            second.take_overflowing();
        }
        let whole = self.tokenizer.post_process(first, second, true).map_err(|error| self.bad(error))?;
        let types = match whole.get_type_ids() {
            types if types.iter().all(|kind| *kind == 0) => Vec::new(),
            types => types.to_vec(),
        };
        Ok(Encoded { tokens: whole.get_ids().to_vec(), types, cut, unknown: UnknownCharacters::default() })
    }

    /// A whole text without special tokens, in windows, so that memory stays small.
    pub(super) fn stream(&self, text: &str, told: Told<'_>) -> Result<Vec<u32>, Error> {
        let tokenize = |part: &str| {
            let encoding = self.tokenizer.encode(part, false).map_err(|error| self.bad(error))?;
            let starts = encoding.get_offsets().iter().map(|(start, _)| *start);
            Ok(starts.zip(encoding.get_ids().iter().copied()).collect())
        };
        cuts::tokens(text, tokenize, told)
    }

    /// The text of these tokens, without special ones.
    pub(super) fn decode(&self, tokens: &[u32]) -> Result<String, Error> {
        self.tokenizer.decode(tokens, true).map_err(|error| self.bad(error))
    }
}

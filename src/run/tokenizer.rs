//! Tokenizers beside models.

use super::inputs::{Inputs, TOKENIZER};
use super::{Error, PretrainedFolder};
use crate::data::Tokenizer;
use crate::train::files;
use std::path::Path;

/// The tokenizer of a folder, or of a file's folder, if any.
pub(super) fn beside(from: &Path) -> Result<Option<Tokenizer>, Error> {
    let folder = if from.is_dir() { from } else { from.parent().unwrap_or(Path::new("")) };
    let path = folder.join(TOKENIZER);
    if path.exists() { read(&path).map(Some) } else { Ok(None) }
}

/// The tokenizer of a pretrained model, whose table has a row for each of its tokens; it may have a few more, to be a round
/// number.
pub(super) fn fitting(tokenizer: Tokenizer, folder: &PretrainedFolder) -> Result<Tokenizer, Error> {
    let (tokens, rows) = (tokenizer.vocabulary_size(), folder.model.sizes.vocab);
    if tokenizer.vocabulary().is_none() && (tokens > rows || 2 * tokens < rows) {
        let reason =
            format!("it has {tokens} tokens, but the model's table has {rows} rows: it belongs to another model");
        return Err(Error::bad_file(&folder.folder.join(TOKENIZER), reason));
    }
    Ok(tokenizer)
}

/// A pretrained model of which nothing makes the tokens.
pub(super) fn missing(folder: &PretrainedFolder) -> Error {
    let has_vocabulary = ["vocab.txt", "vocab.json"].into_iter().find(|name| folder.folder.join(name).exists());
    let way = has_vocabulary.map_or_else(String::new, |name| {
        format!("; transformers makes one of {name}: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)")
    });
    let reason = format!("it has no {TOKENIZER}, which the model needs{way}");
    Error::bad_file(&folder.folder, reason)
}

fn read(path: &Path) -> Result<Tokenizer, Error> {
    let json = files::read(path).map_err(|error| Error::unreadable(path, &error))?;
    Ok(Tokenizer::of_json(&path.display().to_string(), json)?)
}

impl Inputs {
    /// The tokenizer's file of a run in this folder, if its tokens are not characters. It must not have changed.
    pub(super) fn tokenizer(&self, folder: &Path) -> Result<Option<Tokenizer>, Error> {
        let Some(crc32) = self.tokenizer_crc32 else { return Ok(None) };
        let path = folder.join(TOKENIZER);
        let tokenizer = read(&path)?;
        match crc32fast::hash(tokenizer.to_json().as_bytes()) == crc32 {
            true => Ok(Some(tokenizer)),
            false => {
                Err(Error::bad_file(&path, "it is not the tokenizer that the run began with: its checksum differs"))
            }
        }
    }
}

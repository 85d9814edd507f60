//! Tokenizers, as they are found beside models.

use super::Error;
use super::inputs::{Inputs, TOKENIZER};
use crate::data::Tokenizer;
use crate::train::files;
use std::path::Path;

/// The tokenizer of a folder, or of the folder that a file lies in, where it has one.
pub(super) fn beside(from: &Path) -> Result<Option<Tokenizer>, Error> {
    let folder = if from.is_dir() { from } else { from.parent().unwrap_or(Path::new("")) };
    let path = folder.join(TOKENIZER);
    if path.exists() { read(&path).map(Some) } else { Ok(None) }
}

fn read(path: &Path) -> Result<Tokenizer, Error> {
    let json = files::read(path).map_err(|error| Error::unreadable(path, &error))?;
    Ok(Tokenizer::of_json(&path.display().to_string(), json)?)
}

impl Inputs {
    /// The tokenizer's file of a run in this folder, where its tokens are no characters. It has to be what it was.
    pub(super) fn tokenizer(&self, folder: &Path) -> Result<Option<Tokenizer>, Error> {
        let Some(crc32) = self.tokenizer_crc32 else { return Ok(None) };
        let path = folder.join(TOKENIZER);
        let tokenizer = read(&path)?;
        match crc32fast::hash(tokenizer.to_json().as_bytes()) == crc32 {
            true => Ok(Some(tokenizer)),
            false => Err(Error::bad_file(&path, "it is not what the run began with: its checksum is another")),
        }
    }
}

//! A trained decoder, and how it reads a prompt.

use super::inputs::Inputs;
use super::pretrained_folder::CONFIG;
use super::trained::{RUN, left_out, of_inputs};
use super::weights::{Begun, Kept, Weights};
use super::{Error, PictureFolder, PretrainedFolder, RunFile, Source, tokenizer};
use crate::data::{Embedded, Text, Tokenizer, UnknownCharacters};
use crate::nn::models::{Marks, PretrainedKind};
use crate::nn::{Model, Network};
use crate::train::files;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A decoder that has been trained: that of a run, or of a Hugging Face folder.
pub struct TrainedDecoder {
    model: Model,
    tokenizer: Tokenizer,
    weights: PathBuf,
    begin: Option<u32>,
    ends: Vec<u32>,
}

/// What a decoder reads of a prompt.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Prompt {
    /// Its tokens, at least one.
    pub tokens: Vec<u32>,
    /// What its owner should know.
    pub warning: Option<String>,
}

/// What transformers' `generate` goes by, beside a model.
const GENERATION: &str = "generation_config.json";

impl TrainedDecoder {
    /// The decoder of the run in a folder: what it ended with, or the `best` of its evaluations.
    ///
    /// # Errors
    /// [`Error`] for a folder without a run, and for a run of another model.
    pub fn of_run(folder: &Path, best: bool) -> Result<TrainedDecoder, Error> {
        let path = folder.join(RUN);
        let run = RunFile::of_run(&path, folder, &[])?;
        if !matches!(run.data.source, Source::Text { .. } | Source::Embedded(Embedded::Text(..))) {
            let reason = "its model is no decoder and continues no text; gradus predict asks it about rows";
            return Err(Error::bad_file(&path, reason));
        }
        let tokenizer = of_inputs(&run, &Inputs::of_run(folder)?, folder)?;
        let model = run.model.decoder(tokenizer.vocabulary_size())?;
        let marks = run.model.pretrained.as_ref().map_or(Marks::default(), |folder| folder.model.marks);
        // Characters have no token that is not one of them.
        let marks = if tokenizer.vocabulary().is_some() { Marks::default() } else { marks };
        let weights = if best { folder.join("best.safetensors") } else { folder.to_owned() };
        Ok(TrainedDecoder::new(model, tokenizer, weights, marks.begin, marks.end.into_iter().collect()))
    }

    /// The decoder of a Hugging Face folder, for texts as long as it has positions.
    ///
    /// # Errors
    /// [`Error`] naming the file.
    pub fn of_pretrained(folder: &Path) -> Result<TrainedDecoder, Error> {
        if PictureFolder::find(folder)?.is_some() {
            return Err(Error::bad_file(folder, "its model reads pictures and continues no text"));
        }
        let Some(found) = PretrainedFolder::find(folder)? else {
            return Err(Error::bad_file(folder, format!("there is neither a run nor a {CONFIG} in it")));
        };
        if found.model.kind != PretrainedKind::Decoder {
            let reason = format!("it is of {}, an encoder, which continues no text", found.model.kind.word());
            return Err(Error::bad_file(&found.folder.join(CONFIG), reason));
        }
        let tokenizer = match tokenizer::beside(&found.folder)? {
            Some(tokenizer) => tokenizer::fitting(tokenizer, &found)?,
            None => return Err(tokenizer::missing(&found)),
        };
        let model: Model = found.model.decoder(found.model.sizes.context, None)?.into();
        let Marks { begin, end, .. } = found.model.marks;
        let ends = match ends_of(&found.folder)? {
            ends if ends.is_empty() => end.into_iter().collect(),
            ends => ends,
        };
        Ok(TrainedDecoder::new(model, tokenizer, folder.to_owned(), begin, ends))
    }

    fn new(
        model: Model,
        tokenizer: Tokenizer,
        weights: PathBuf,
        begin: Option<u32>,
        mut ends: Vec<u32>,
    ) -> TrainedDecoder {
        // A configuration may name tokens that its tokenizer does not have.
        let is_known = |token: &u32| (*token as usize) < tokenizer.vocabulary_size();
        ends.retain(is_known);
        let begin = begin.filter(is_known).or(ends.first().copied());
        TrainedDecoder { model, tokenizer, weights, begin, ends }
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What makes tokens of texts, and texts of tokens.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The tokens that end a text; none for characters.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// Its values.
    ///
    /// # Errors
    /// [`Error`] for a file that is not there, or does not fit the model.
    pub fn values(&self) -> Result<Vec<(String, Vec<f32>)>, Error> {
        let all = Kept { outputs: true, tables: (&[], None) };
        let weights = Weights::find(&self.weights)?;
        let Begun { values, new, unused } = weights.values(&self.model, self.model.initial(0), &all)?;
        // A head that tells labels stands on a trunk that was trained for it, whatever else the file holds.
        let heads = self.model.unused();
        if let Some(head) = unused.iter().find(|name| heads.iter().any(|head| name.starts_with(head))) {
            let reason = format!("{head} tells labels: the model continues no text; gradus predict asks it about rows");
            return Err(Error::bad_file(&weights.path, reason));
        }
        match new.first() {
            None => Ok(values),
            Some(missing) => Err(Error::bad_file(&weights.path, format!("{missing} is missing in it"))),
        }
    }

    /// The tokens of a prompt; `name` is what errors call it. An empty one is the token before a text.
    ///
    /// # Errors
    /// [`Error::BadFile`] for an empty prompt where there is no such token, a prompt of characters that are all unknown, and
    /// one that is longer than the model's context.
    pub fn prompt(&self, name: &str, text: &str) -> Result<Prompt, Error> {
        let bad = |reason: String| Err(Error::bad_file(Path::new(name), reason));
        if text.is_empty() {
            return match self.begin {
                Some(token) => Ok(Prompt { tokens: vec![token], warning: None }),
                None => bad("it is empty, and the model has no token for the beginning of a text".to_owned()),
            };
        }
        let text = Text::from_bytes(name, text.as_bytes().to_vec())?;
        let mut unknown = UnknownCharacters::default();
        let tokens = self.tokenizer.stream(&text, &mut unknown, &|_, _| ())?;
        let context = self.model.context();
        match tokens.len() {
            0 => bad("the model knows no character of it".to_owned()),
            length if length > context => {
                let unit = if self.tokenizer.vocabulary().is_some() { "characters" } else { "tokens" };
                bad(format!("it has {length} {unit}, and the model reads at most {context}"))
            }
            _ => Ok(Prompt { tokens, warning: left_out(name, &unknown) }),
        }
    }
}

/// The tokens that end a text by a folder's `generation_config.json`: a number or a list of them.
fn ends_of(folder: &Path) -> Result<Vec<u32>, Error> {
    let path = folder.join(GENERATION);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = files::read_text(&path).map_err(|error| Error::unreadable(&path, &error))?;
    let config: Value = serde_json::from_str(&text).map_err(|error| Error::bad_file(&path, error.to_string()))?;
    let said = &config["eos_token_id"];
    let listed = said.as_array().map_or(std::slice::from_ref(said), Vec::as_slice);
    Ok(listed.iter().filter_map(|token| u32::try_from(token.as_u64()?).ok()).collect())
}

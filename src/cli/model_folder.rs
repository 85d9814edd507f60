//! What makes a run's folder one of Hugging Face's: what its model is, its tokenizer, and at the end its tensors.

use anyhow::Context;
use gradus::nn::Model;
use gradus::nn::models::{FolderWords, Marks};
use gradus::params::shown_path;
use gradus::run::{Material, RunFile, Source, TOKENIZER};
use gradus::train::{Error, Trainer, files};
use std::fs;
use std::path::Path;

/// The parameters that a run ends with.
pub(super) const MODEL: &str = "model.safetensors";

/// Every file that may be written here.
pub(super) const FILES: [&str; 13] = [
    MODEL,
    "head.safetensors",
    "config.json",
    "preprocessor_config.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    TOKENIZER,
    OF_TOKENIZER[0],
    OF_TOKENIZER[1],
    OF_TOKENIZER[2],
    OF_TOKENIZER[3],
    OF_TOKENIZER[4],
];

/// Other files of a tokenizer.
const OF_TOKENIZER: [&str; 5] =
    ["tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt"];

/// Writes what the model is, and what makes its tokens.
pub(super) fn write_description(path: &Path, run: &RunFile, material: &Material) -> anyhow::Result<()> {
    let mut marks = run.model.pretrained.as_ref().map_or_else(Marks::default, |from| from.model.marks);
    if let Some(tokenizer) = &material.tokenizer {
        // A model without a padding token uses its end token.
        marks.pad = tokenizer.pad_token().or(marks.pad).or(marks.end);
        files::replace(&path.join(TOKENIZER), tokenizer.to_json().as_bytes())?;
    }
    let mut words = FolderWords::new(&material.inputs.classes, marks);
    if let Source::Pictures(pictures) = &run.data.source {
        words = words.pictures([pictures.wants.to_timm(), pictures.wants.to_transformers()]);
    }
    for (name, bytes) in material.model.folder_files(&words) {
        let file = path.join(name);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making the folder {}", shown_path(folder)))?;
        }
        files::replace(&file, &bytes)?;
    }
    let Some(from) = run.model.pretrained.as_ref().filter(|from| from.folder != path) else { return Ok(()) };
    for name in OF_TOKENIZER {
        let file = from.folder.join(name);
        if file.is_file() {
            let bytes = files::read(&file).with_context(|| format!("reading {}", shown_path(&file)))?;
            files::replace(&path.join(name), &bytes)?;
        }
    }
    Ok(())
}

/// Writes the tested parameters as other programs read them; the file that lists them comes last.
pub(super) fn write_tensors(path: &Path, model: &Model, trainer: &mut Trainer) -> Result<(), Error> {
    let tested = trainer.read_tested(&path.join(MODEL))?;
    let tensors = model.folder_tensors(&tested)?;
    tensors.iter().rev().try_for_each(|(name, bytes)| files::replace(&path.join(name), bytes))
}

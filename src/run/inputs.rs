//! How a user's data becomes a model's inputs: kept beside a model, which is useless without it.

use super::examples::finite;
use super::{DataSpec, Error};
use crate::data::{Tokenizer, Vocabulary};
use crate::params::{Shown, shown_list};
use crate::train::files;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file's name in a run's folder.
pub(super) const INPUTS: &str = "inputs.json";

/// What a tokenizer's file is called, in a run's folder as in one of Hugging Face.
pub const TOKENIZER: &str = "tokenizer.json";

/// `inputs.json` of a run's folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Inputs {
    /// The characters of a text model; a character's token is its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub characters: Option<String>,
    /// CRC-32 of the `tokenizer.json` beside this file, if tokens are not characters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tokenizer_crc32: Option<u32>,
    /// The classes, the labels, or the columns of predicted numbers, in the order of the outputs.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub classes: Vec<String>,
    /// Where numbers and categories come from and what is done with them, in the order of the inputs.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub columns: Vec<Column>,
    /// CRC-32 of what is trained on, labels included, as the model reads it: a run continues with the same data, or not at
    /// all.
    #[serde(default)]
    pub train_crc32: u32,
    /// CRC-32 of what is tested on, in the same way: it decides the best file and when to stop.
    #[serde(default)]
    pub test_crc32: u32,
    /// What every number of an image is divided by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
}

/// A column of numbers, whose inputs are (value − mean) / deviation; or of categories, with an input for each, 1 in its
/// rows and else 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The mean over the train set; 0 where columns are taken as they are.
    pub mean: f64,
    /// The standard deviation over the train set; 1 where columns are taken as they are.
    pub deviation: f64,
    /// The categories, in order; none where these are numbers.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub categories: Vec<String>,
}

impl Column {
    /// A column of numbers.
    pub(super) fn numbers(name: String, mean: f64, deviation: f64) -> Column {
        Column { name, mean, deviation, categories: Vec::new() }
    }

    /// A column of categories.
    pub(super) fn of_categories(name: String, categories: Vec<String>) -> Column {
        Column { name, mean: 0.0, deviation: 1.0, categories }
    }

    /// How many inputs it makes.
    pub(super) fn width(&self) -> usize {
        self.categories.len().max(1)
    }

    /// A number as the model reads it.
    pub(super) fn scaled(&self, number: f64) -> Result<f32, String> {
        let value = ((number - self.mean) / self.deviation) as f32;
        match value.is_finite() {
            true => Ok(value),
            false => Err(format!("{} = {number} is too far from the others for 32 bits", Shown(&self.name))),
        }
    }

    /// Appends what a cell makes of the inputs. Whether it is known: a category that the train set does not have is not, and
    /// makes zeros.
    pub(super) fn put(&self, cell: &str, row: &mut Vec<f32>) -> Result<bool, String> {
        if self.categories.is_empty() {
            row.push(self.scaled(finite(&self.name, cell)?)?);
            return Ok(true);
        }
        row.extend(self.categories.iter().map(|category| f32::from(u8::from(category == cell))));
        Ok(self.categories.iter().any(|category| category == cell))
    }
}

impl Inputs {
    /// Reads the file in an earlier run's folder.
    ///
    /// # Errors
    /// [`Error::Unreadable`], [`Error::BadFile`].
    pub fn of_run(folder: &Path) -> Result<Inputs, Error> {
        let path = folder.join(INPUTS);
        let text = files::read_text(&path).map_err(|error| Error::unreadable(&path, &error))?;
        serde_json::from_str(&text).map_err(|error| Error::bad_file(&path, error.to_string()))
    }

    /// The first thing that differs from what a run began with, named as its owner knows it.
    pub(super) fn change_since(&self, began: &Inputs, data: &DataSpec) -> Option<String> {
        let listed = |what: &str, before: &[String], now: &[String]| {
            format!("the {what} were {}, and are {} now", shown_list(before), shown_list(now))
        };
        let names = |inputs: &Inputs| inputs.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        let (columns_before, columns) = (names(began), names(self));
        if began.classes != self.classes {
            return Some(listed("classes", &began.classes, &self.classes));
        }
        if columns_before != columns {
            return Some(listed("columns", &columns_before, &columns));
        }
        if began.scale != self.scale {
            return Some("images are divided by another number (data.scale)".to_owned());
        }
        if began.characters != self.characters {
            return Some("the vocabulary has other characters".to_owned());
        }
        if began.tokenizer_crc32 != self.tokenizer_crc32 {
            return Some(format!("the tokenizer is another ({TOKENIZER})"));
        }
        let set = |which: &str, file: String| Some(format!("the {which} set of {file} holds other examples"));
        if began.train_crc32 != self.train_crc32 {
            return set("train", data.train_name());
        }
        if began.test_crc32 != self.test_crc32 {
            return set("test", data.test_name());
        }
        (began != self).then(|| "columns are centred or scaled in another way".to_owned())
    }

    /// With the record of a tokenizer: its characters, or its file.
    #[must_use]
    pub(super) fn tokenized(self, tokenizer: &Tokenizer) -> Inputs {
        match tokenizer.vocabulary() {
            Some(vocabulary) => Inputs { characters: Some(vocabulary.characters().iter().collect()), ..self },
            None => Inputs { tokenizer_crc32: Some(crc32fast::hash(tokenizer.to_json().as_bytes())), ..self },
        }
    }

    /// The vocabulary, if any.
    pub(super) fn vocabulary(&self) -> Result<Option<Vocabulary>, Error> {
        let characters = self.characters.as_ref().map(|characters| Vocabulary::new(characters.chars().collect()));
        Ok(characters.transpose()?)
    }

    /// With the checksums of a train and a test set.
    #[must_use]
    pub(super) fn checked(self, train: &[&[u8]], test: &[&[u8]]) -> Inputs {
        let crc32 = |parts: &[&[u8]]| {
            let mut hasher = crc32fast::Hasher::new();
            parts.iter().for_each(|part| hasher.update(part));
            hasher.finalize()
        };
        Inputs { train_crc32: crc32(train), test_crc32: crc32(test), ..self }
    }

    /// As text for the file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

//! A decoder on text.

use super::{Material, Reader, summary};
use crate::data::{Text, TokenStream, Tokenizer, UnknownCharacters, Vocabulary};
use crate::nn::Network;
use crate::run::{Error, Inputs, TestSet};
use crate::train::{Language, files};
use std::path::Path;

/// Reads a text file.
pub(super) fn read(path: &Path) -> Result<Text, Error> {
    let bytes = files::read(path).map_err(|error| Error::unreadable(path, &error))?;
    Ok(Text::from_bytes(&path.display().to_string(), bytes)?)
}

impl Reader<'_> {
    pub(super) fn text(mut self, train: Text, ascii: bool) -> Result<Material, Error> {
        let (data, model) = (&self.run.data, &self.run.model);
        let test = match &data.test {
            TestSet::File(path, _) => Some(read(path)?),
            TestSet::Percent(_) => None,
        };
        let tokenizer = self.tokenizer(|| match ascii {
            true => Ok(Vocabulary::ascii()),
            false => Ok(Vocabulary::of(&[&train].into_iter().chain(&test).collect::<Vec<_>>())?),
        })?;
        let unit = if tokenizer.vocabulary().is_some() { "characters" } else { "tokens" };
        let decoder = model.decoder(tokenizer.vocabulary_size())?;
        let entries = decoder.sizes().map_or(0, |sizes| sizes.vocab);
        let (train, test) = match &test {
            Some(test) => (self.stream(&train, &tokenizer, entries)?, self.stream(test, &tokenizer, entries)?),
            None => self.stream(&train, &tokenizer, entries)?.split(data.test.percent())?,
        };
        for (which, stream, name) in [("train", &train, data.train_name()), ("test", &test, data.test_name())] {
            let (tokens, needed, context) = (stream.tokens().len(), model.context + 1, model.context);
            if tokens < needed {
                let reason =
                    format!("{tokens} {unit} to {which} on, but model.context = {context} needs at least {needed}");
                return Err(Error::bad_file(Path::new(&name), reason));
            }
        }
        let inputs = Inputs::default()
            .tokenized(&tokenizer)
            .checked(&[bytemuck::cast_slice(train.tokens())], &[bytemuck::cast_slice(test.tokens())]);
        let values = self.values(&decoder, &inputs)?;
        if !self.run.trains_trunk && model.has_no_head() {
            let norm = "the output layer is tied to the token table, so nothing but the last norm trains (model.tied: false \
                        gives it a layer of its own)";
            self.warnings.push(format!("trainable: false: {norm}"));
        }
        let mut task = Language::new(&decoder, (&train, &test))?;
        if self.run.keeps_trunk {
            task = task.with_fixed_windows();
        }
        for (name, path) in &data.also {
            let stream = self.stream(&read(path)?, &tokenizer, entries)?;
            task = task.also(name, Language::new(&decoder, (&stream, &stream))?)?;
        }
        let (tokens, tests) = (train.tokens().len(), test.tokens().len());
        let what = format!("{tokens} {unit} to train on, {tests} to test, {entries} different ones");
        Ok(Material {
            summary: summary("a decoder", &decoder, &what),
            task: Box::new(match values {
                Some(values) => task.starting_from(values),
                None => task,
            }),
            model: decoder,
            inputs,
            tokenizer: Some(tokenizer),
            pictures: None,
            units: ("tokens", model.context),
            warnings: self.warnings,
        })
    }

    fn stream(&mut self, text: &Text, tokenizer: &Tokenizer, entries: usize) -> Result<TokenStream, Error> {
        let mut unknown = UnknownCharacters::default();
        let tokens = tokenizer.stream(text, &mut unknown, self.options.told)?;
        self.tell_unknown(text.name(), &unknown)?;
        match tokens.is_empty() {
            true => Err(Error::bad_file(Path::new(text.name()), "no character of it is in the vocabulary")),
            false => Ok(TokenStream::new(tokens, entries)?),
        }
    }
}

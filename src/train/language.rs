//! A decoder on text.

use super::examples::{Examples, Sizes};
use super::supervised::{Set, Supervised, size};
use super::{Config, Error, Scoring};
use crate::data::{BatchSize, TokenStream};
use crate::engine::Engine;
use crate::engine::layout::GatherTokens;
use crate::nn::{Model, Network};

/// Learns which token comes next: a decoder, the text it is trained on, and the text it is tested on.
pub type Language = Supervised<Windows>;

/// A text in windows as long as the model's context.
#[derive(Clone, Debug)]
pub struct Windows {
    text: TokenStream,
    context: usize,
    /// The text is cut at the same places in every epoch.
    are_fixed: bool,
}

impl Language {
    /// A task. Sequences are as long as the model's context, and cut at other places in every epoch.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] for a text of another vocabulary than the model's.
    pub fn new(
        model: &(impl Clone + Into<Model>),
        (train, test): (&TokenStream, &TokenStream),
    ) -> Result<Language, Error> {
        let model: Model = model.clone().into();
        let (context, vocabulary) = model.sizes().map_or((0, 0), |sizes| (sizes.context, sizes.vocab));
        for text in [train, test] {
            if text.vocabulary() != vocabulary {
                return Err(Error::Vocabulary { text: text.vocabulary(), model: vocabulary });
            }
        }
        let windows = |text: &TokenStream| Windows { text: text.clone(), context, are_fixed: false };
        Ok(Supervised { model, train: windows(train), test: windows(test), also: Vec::new(), start: None })
    }

    /// Cuts the text at the same places in every epoch. What a frozen trunk makes of a sequence is then made once.
    #[must_use]
    pub fn with_fixed_windows(mut self) -> Language {
        self.train.are_fixed = true;
        self
    }
}

impl Windows {
    fn batches(&self, size: BatchSize, seed: u32) -> Result<GatherTokens, Error> {
        let batches = self.text.batches(self.context, size, seed)?;
        Ok(if self.are_fixed { GatherTokens { offsets: 1, ..batches } } else { batches })
    }
}

impl Set for Windows {
    fn context(&self) -> usize {
        self.context
    }

    /// Every token of the test but the first is a target once.
    fn tested(&self) -> usize {
        self.text.tokens().len().saturating_sub(1).div_ceil(self.context)
    }

    fn scoring(&self, _model: &Model) -> Scoring {
        Scoring::Tokens
    }

    fn steps_per_epoch(&self, size: BatchSize, seed: u32) -> Result<u64, Error> {
        Ok(u64::from(self.batches(size, seed)?.steps_per_epoch))
    }

    fn to_train(&self, engine: &Engine, config: &Config) -> Result<Examples, Error> {
        let resident = engine.buffer_with("train examples", self.text.tokens())?;
        Ok(Examples::shuffled(vec![resident], Sizes::Tokens(self.batches(size(config), config.seed)?)))
    }

    fn to_test(&self, engine: &Engine, rows: usize, _limit_bytes: u64) -> Result<Examples, Error> {
        let resident = engine.buffer_with("test examples", self.text.tokens())?;
        Ok(Examples::in_turn(vec![resident], Sizes::Tokens(self.text.evaluation(self.context, rows)?)))
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let windows = if self.are_fixed { "fixed" } else { "other places in every epoch" };
        vec![("windows", windows.to_owned())]
    }
}

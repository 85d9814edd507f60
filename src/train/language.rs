//! A decoder on text.

use super::examples::{Examples, Sizes};
use super::task::{Placed, Task};
use super::transformer::{OnDevice, Tested};
use super::{Config, Error};
use crate::data::{BatchSize, TokenStream};
use crate::engine::Engine;
use crate::engine::layout::GatherTokens;
use crate::nn::transformer::Transformer;
use crate::params::Param;

/// Learns which token comes next: a decoder, the text it is trained on, and the text it is tested on.
#[derive(Clone, Debug)]
pub struct Language {
    model: Transformer,
    train: TokenStream,
    test: TokenStream,
    /// Values to begin with; without any, the model's own.
    start: Option<Vec<(String, Vec<f32>)>>,
    /// The text is cut at the same places in every epoch.
    fixed_windows: bool,
}

impl Language {
    /// A task. Sequences are as long as the model's context, and cut at other places in every epoch.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] for a text of another vocabulary than the model's.
    pub fn new(model: &Transformer, (train, test): (&TokenStream, &TokenStream)) -> Result<Language, Error> {
        for text in [train, test] {
            if text.vocabulary() != model.config().vocab {
                return Err(Error::Vocabulary { text: text.vocabulary(), model: model.config().vocab });
            }
        }
        let (model, train, test) = (model.clone(), train.clone(), test.clone());
        Ok(Language { model, train, test, start: None, fixed_windows: false })
    }

    /// Begins with these values instead of random ones.
    #[must_use]
    pub fn starting_from(self, values: Vec<(String, Vec<f32>)>) -> Language {
        Language { start: Some(values), ..self }
    }

    /// Cuts the text at the same places in every epoch. What a frozen trunk makes of a sequence is then made once.
    #[must_use]
    pub fn with_fixed_windows(self) -> Language {
        Language { fixed_windows: true, ..self }
    }

    fn tested(&self) -> Tested {
        let context = self.model.config().context;
        Tested { sequences: self.test.tokens().len().saturating_sub(1).div_ceil(context), context }
    }

    fn batches(&self, config: &Config) -> Result<GatherTokens, Error> {
        let size = BatchSize { rows: config.batch_size, micro_batches: config.micro_batches };
        let batches = self.train.batches(self.model.config().context, size, config.seed)?;
        Ok(if self.fixed_windows { GatherTokens { offsets: 1, ..batches } } else { batches })
    }
}

impl Task for Language {
    fn params(&self) -> Vec<Param> {
        self.model.params()
    }

    fn tied(&self) -> Vec<(String, String)> {
        self.model.config().tied()
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let windows = if self.fixed_windows { "fixed" } else { "other places in every epoch" };
        self.model.config().settings().into_iter().chain([("windows", windows.to_owned())]).collect()
    }

    fn initial(&self, seed: u32) -> Vec<(String, Vec<f32>)> {
        self.start.clone().unwrap_or_else(|| self.model.config().initial(seed))
    }

    fn steps_per_epoch(&self, config: &Config) -> Result<u64, Error> {
        Ok(u64::from(self.batches(config)?.steps_per_epoch))
    }

    fn check(&self, engine: &Engine, config: &Config) -> Result<(), Error> {
        let pass = self.model.training(config.batch_size, self.model.config().context, |_| true)?;
        Ok(pass.check(engine)?)
    }

    fn activation_bytes(&self, config: &Config, trainable: &dyn Fn(&str) -> bool) -> Result<Option<u64>, Error> {
        let (tested, model) = (self.tested(), (&self.model, self.model.config().context));
        Ok(Some(tested.activation_bytes(config, model, trainable)?))
    }

    fn place(&self, engine: &Engine, config: &Config) -> Result<Box<dyn Placed>, Error> {
        let train = Examples::shuffled(engine, self.train.tokens(), Sizes::Tokens(self.batches(config)?))?;
        // Every token of the test but the first is a target once.
        let tested = self.tested();
        let test = self.test.evaluation(tested.context, tested.rows_on(engine, config, &self.model))?;
        let test = Examples::in_turn(engine, self.test.tokens(), Sizes::Tokens(test))?;
        Ok(Box::new(OnDevice::new(engine, config, &self.model, [train, test])?))
    }
}

//! An encoder on labelled sequences.

use super::examples::{Examples, Sizes};
use super::task::{Placed, Task};
use super::transformer::{OnDevice, Tested};
use super::{Config, Error};
use crate::data::{BatchSize, Sequences};
use crate::engine::Engine;
use crate::engine::layout::GatherSequences;
use crate::nn::transformer::{Kind, Transformer};
use crate::params::Param;

/// Tells classes of sequences apart: an encoder, what it is trained on, and what it is tested on.
#[derive(Clone, Debug)]
pub struct ClassifySequences {
    model: Transformer,
    train: Sequences,
    test: Sequences,
    /// Values to begin with; without any, the model's own.
    start: Option<Vec<(String, Vec<f32>)>>,
}

impl ClassifySequences {
    /// A task.
    ///
    /// # Errors
    /// [`Error::Sequences`] for a set whose vocabulary, token types or classes are not the model's, or whose sequences are
    /// longer than its context; a decoder has no classes.
    pub fn new(model: &Transformer, (train, test): (&Sequences, &Sequences)) -> Result<ClassifySequences, Error> {
        let config = model.config();
        let classes = if let Kind::Encoder { classes, .. } = config.kind { classes } else { 0 };
        for (which, set) in [("train", train), ("test", test)] {
            let sizes = set.sizes();
            if sizes.context > config.context {
                let (set, model) = (sizes.context, config.context);
                return Err(Error::Sequences { which, what: "a context of", set, model });
            }
            let pairs = [
                ("a vocabulary of", sizes.vocabulary, config.vocab),
                ("token types:", sizes.types, config.types().max(1)),
                ("classes:", sizes.classes, classes),
            ];
            if let Some((what, set, model)) = pairs.into_iter().find(|(_, set, model)| set != model) {
                return Err(Error::Sequences { which, what, set, model });
            }
        }
        Ok(ClassifySequences { model: model.clone(), train: train.clone(), test: test.clone(), start: None })
    }

    /// Begins with these values instead of random ones.
    #[must_use]
    pub fn starting_from(self, values: Vec<(String, Vec<f32>)>) -> ClassifySequences {
        ClassifySequences { start: Some(values), ..self }
    }

    fn tested(&self) -> Tested {
        Tested { sequences: self.test.len(), context: self.test.sizes().context }
    }

    fn batches(&self, config: &Config) -> Result<GatherSequences, Error> {
        let size = BatchSize { rows: config.batch_size, micro_batches: config.micro_batches };
        Ok(self.train.batches(size, config.seed)?)
    }
}

impl Task for ClassifySequences {
    fn params(&self) -> Vec<Param> {
        self.model.params()
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.model.config().settings()
    }

    fn initial(&self, seed: u32) -> Vec<(String, Vec<f32>)> {
        self.start.clone().unwrap_or_else(|| self.model.config().initial(seed))
    }

    fn steps_per_epoch(&self, config: &Config) -> Result<u64, Error> {
        Ok(u64::from(self.batches(config)?.steps_per_epoch))
    }

    fn check(&self, engine: &Engine, config: &Config) -> Result<(), Error> {
        let pass = self.model.training(config.batch_size, self.train.sizes().context, |_| true)?;
        Ok(pass.check(engine)?)
    }

    fn activation_bytes(&self, config: &Config, trainable: &dyn Fn(&str) -> bool) -> Result<Option<u64>, Error> {
        let (tested, model) = (self.tested(), (&self.model, self.train.sizes().context));
        Ok(Some(tested.activation_bytes(config, model, trainable)?))
    }

    fn place(&self, engine: &Engine, config: &Config) -> Result<Box<dyn Placed>, Error> {
        let train = Examples::shuffled(engine, &self.train.padded(), Sizes::Sequences(self.batches(config)?))?;
        let rows = self.tested().rows_on(engine, config, &self.model);
        let test = Sizes::Sequences(self.test.evaluation(rows)?);
        let test = Examples::in_turn(engine, &self.test.padded(), test)?;
        Ok(Box::new(OnDevice::new(engine, config, &self.model, [train, test])?))
    }
}

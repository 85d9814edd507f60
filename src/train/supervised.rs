//! A model with a train set and a test set.

use super::examples::Examples;
use super::on_device::OnDevice;
use super::task::{Placed, Task};
use super::{Config, Error, Scoring};
use crate::data::BatchSize;
use crate::engine::Engine;
use crate::nn::{Model, Network, Pass};
use crate::params::Param;

/// A model that is trained on one set and tested on another.
#[derive(Clone, Debug)]
pub struct Supervised<S> {
    pub(super) model: Model,
    pub(super) train: S,
    pub(super) test: S,
    /// Further test sets, by name.
    pub(super) also: Vec<(String, S)>,
    /// Values to begin with; without any, the model's own.
    pub(super) start: Option<Vec<(String, Vec<f32>)>>,
}

/// A set of examples that a model reads.
pub(super) trait Set {
    /// Rows of an example: tokens of a sequence, or 1.
    fn context(&self) -> usize;

    /// The number of test examples.
    fn tested(&self) -> usize;

    /// Steps of an epoch.
    fn steps_per_epoch(&self, size: BatchSize, seed: u32) -> Result<u64, Error>;

    /// The set on a device, drawn for training as configured.
    fn to_train(&self, engine: &Engine, config: &Config) -> Result<Examples, Error>;

    /// The set on a device, drawn for a test in batches of so many. Beyond so many bytes it may stay in host memory.
    fn to_test(&self, engine: &Engine, rows: usize, limit_bytes: u64) -> Result<Examples, Error>;

    /// The scores of a test of a model on them.
    fn scoring(&self, model: &Model) -> Scoring;

    /// How examples are drawn, apart from the run's settings.
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

impl<S> Supervised<S> {
    /// Begins with these values instead of random ones.
    #[must_use]
    pub fn starting_from(self, values: Vec<(String, Vec<f32>)>) -> Supervised<S> {
        Supervised { start: Some(values), ..self }
    }

    /// Also tested on the test set of another task of the same model, such as what it learned before.
    ///
    /// # Errors
    /// [`Error::OtherModel`] for a task of another.
    pub fn also(mut self, name: &str, other: Supervised<S>) -> Result<Supervised<S>, Error> {
        if other.model != self.model {
            return Err(Error::OtherModel { name: name.to_owned() });
        }
        self.also.push((name.to_owned(), other.test));
        Ok(self)
    }
}

#[allow(private_bounds, reason = "a set is one of those that there are tasks for")]
impl<S: Set> Supervised<S> {
    /// Examples in a batch of the test: as many as in a training batch, if there are so many.
    fn test_rows(&self, config: &Config) -> usize {
        rows_of(&self.test, config)
    }

    /// A set on a device, drawn for a test.
    fn to_test(&self, set: &S, engine: &Engine, config: &Config) -> Result<Examples, Error> {
        let bound = self.model.largest_batch(engine, set.context());
        set.to_test(engine, rows_of(set, config).min(bound).max(1), config.examples_device_limit_bytes)
    }
}

#[allow(private_bounds, reason = "a set is one of those that there are tasks for")]
impl<S: Set> Task for Supervised<S> {
    fn params(&self) -> Vec<Param> {
        self.model.params()
    }

    fn buffers(&self) -> Vec<Param> {
        self.model.buffers()
    }

    fn tied(&self) -> Vec<(String, String)> {
        self.model.tied()
    }

    fn names_in_class(&self) -> Vec<String> {
        self.model.params().iter().map(|param| self.model.name_in_class(&param.name)).collect()
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.model.settings().into_iter().chain(self.train.settings()).collect()
    }

    fn initial(&self, seed: u32) -> Vec<(String, Vec<f32>)> {
        self.start.clone().unwrap_or_else(|| self.model.initial(seed))
    }

    fn scoring(&self) -> Scoring {
        self.test.scoring(&self.model)
    }

    fn also(&self) -> Vec<(String, Scoring)> {
        self.also.iter().map(|(name, set)| (name.clone(), set.scoring(&self.model))).collect()
    }

    fn steps_per_epoch(&self, config: &Config) -> Result<u64, Error> {
        self.train.steps_per_epoch(size(config), config.seed)
    }

    fn check(&self, engine: &Engine, config: &Config) -> Result<(), Error> {
        let pass = self.model.training(config.batch_size, self.train.context(), |_| true)?;
        Ok(pass.stored_in(config.values.clone()).check(engine)?)
    }

    fn activation_bytes(&self, config: &Config, trainable: &dyn Fn(&str) -> bool) -> Result<Option<u64>, Error> {
        let Some(step) = self.step_pass(config, trainable)? else { return Ok(None) };
        let test = self.model.evaluation(self.test_rows(config), self.test.context())?;
        let test = test.stored_in(config.values.clone());
        Ok(Some(step.bytes() + test.bytes_beside(&step)))
    }

    fn step_pass(&self, config: &Config, trainable: &dyn Fn(&str) -> bool) -> Result<Option<Pass>, Error> {
        let step = match config.still_trunk {
            true => self.model.training_on_still_trunk(config.batch_size, self.train.context(), trainable)?,
            false => self.model.training(config.batch_size, self.train.context(), trainable)?,
        };
        Ok(Some(step.recomputing(config.recomputed_layers).stored_in(config.values.clone())))
    }

    fn place(&self, engine: &Engine, config: &Config) -> Result<Box<dyn Placed>, Error> {
        let train = self.train.to_train(engine, config)?;
        let test = (self.to_test(&self.test, engine, config)?, self.scoring());
        let mut also = Vec::with_capacity(self.also.len());
        for (_, set) in &self.also {
            also.push((self.to_test(set, engine, config)?, set.scoring(&self.model)));
        }
        Ok(Box::new(OnDevice::new(engine, config, &self.model, (train, test, also))?))
    }
}

/// Examples of a set in a batch of a test.
fn rows_of(set: &impl Set, config: &Config) -> usize {
    config.batch_size.min(set.tested()).max(1)
}

/// Rows of a step.
pub(super) fn size(config: &Config) -> BatchSize {
    BatchSize { rows: config.batch_size, micro_batches: config.step_micro_batches() }
}

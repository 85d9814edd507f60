//! The transformer: a decoder in GPT-2's shape and an encoder in BERT's, from the same parts.
//!
//! A pass is written down first (`step`, `forward`), gone through backwards for what is trainable (`backward`), and
//! laid out so that values share memory (`memory`); only then is there a buffer (`pass`). So the bytes that a set of
//! trainable parameters needs are known before anything is allocated.

mod backward;
mod config;
mod file;
mod forward;
mod initial;
mod memory;
mod pass;
mod split;
mod step;

pub use config::{Config, Kind, Pooling};
pub use pass::{LossOptions, Pass, Sequences, Workspace};

use super::{Error, limits};
use crate::engine::Engine;
use crate::params::Param;

/// A transformer by its sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Transformer {
    config: Config,
}

impl Transformer {
    /// A transformer of these sizes.
    ///
    /// # Errors
    /// As [`Config::check`].
    pub fn new(config: Config) -> Result<Transformer, Error> {
        config.check()?;
        Ok(Transformer { config })
    }

    /// Its sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Names and shapes of the parameters.
    pub fn params(&self) -> Vec<Param> {
        self.config.params()
    }

    /// A training pass over batches of so many sequences of this length: forward, loss, and backward down to the lowest
    /// parameter that is trainable. Frozen parameters get no gradient, and what only theirs would need is not kept.
    ///
    /// # Errors
    /// [`Error::BadConfig`] for a context longer than the model's, sizes of 0, or more than kernels can count.
    pub fn training(&self, batch: usize, context: usize, trainable: impl Fn(&str) -> bool) -> Result<Pass, Error> {
        self.check(batch, context)?;
        Ok(Pass::training(&self.config, batch, context, &trainable))
    }

    /// Forward and loss alone.
    ///
    /// # Errors
    /// As [`training`](Transformer::training).
    pub fn evaluation(&self, batch: usize, context: usize) -> Result<Pass, Error> {
        self.check(batch, context)?;
        Ok(Pass::evaluation(&self.config, batch, context))
    }

    /// The largest batch of sequences of this length of which the device can bind each activation, 0 for none. Whether
    /// all of them fit its memory is another matter: see [`Pass::bytes`].
    pub fn largest_batch(&self, engine: &Engine, context: usize) -> usize {
        let limit = engine.binding_bytes();
        let most = u32::MAX as usize / (self.config.widest() * context).max(1);
        limits::largest_that(most, |batch| pass::largest(&self.config, batch, context).1 <= limit)
    }

    fn check(&self, batch: usize, context: usize) -> Result<(), Error> {
        if batch == 0 {
            return Err(Error::BadConfig { setting: "batch", value: 0.0, allowed: "1 or more" });
        }
        if context == 0 || context > self.config.context {
            let value = context as f64;
            return Err(Error::BadConfig { setting: "context", value, allowed: "from 1 to the model's context" });
        }
        // Kernels count the numbers of a value in 32 bits.
        let widest = self.config.widest() as u128 * context as u128;
        if widest * batch as u128 > u128::from(u32::MAX) {
            let allowed = "so few that the widest activation has at most 2^32 numbers";
            return Err(Error::BadConfig { setting: "batch", value: batch as f64, allowed });
        }
        Ok(())
    }
}

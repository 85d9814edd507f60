//! What is trained on what: a model and its data, from which the trainer makes its programs.

use super::{CacheNote, Config, Error, Scoring, Test};
use crate::engine::{Engine, Program, Range, Upload};
use crate::nn::Pass;
use crate::optim::{Optimizer, Parameters};
use crate::params::Param;

/// A model and its data.
pub trait Task {
    /// Names and shapes of the model's parameters.
    fn params(&self) -> Vec<Param>;

    /// Names and shapes of the model's buffers.
    fn buffers(&self) -> Vec<Param> {
        Vec::new()
    }

    /// Further names of parameters, each with the parameter's own.
    fn tied(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// What the parameters are called in the whole class of Hugging Face's, in their order; empty if that is nothing else.
    fn names_in_class(&self) -> Vec<String> {
        Vec::new()
    }

    /// What the model computes and how its examples are drawn, apart from the shapes of its parameters: names and
    /// values. A run resumes only if all of it is the same.
    fn settings(&self) -> Vec<(&'static str, String)>;

    /// Initial values of each parameter and buffer.
    fn initial(&self, seed: u32) -> Vec<(String, Vec<f32>)>;

    /// The scores of a test.
    fn scoring(&self) -> Scoring {
        Scoring::Accuracy
    }

    /// Further test sets, by name, with the scores of each.
    fn also(&self) -> Vec<(String, Scoring)> {
        Vec::new()
    }

    /// Steps of an epoch; checks that model, data and settings fit each other.
    ///
    /// # Errors
    /// If they do not.
    fn steps_per_epoch(&self, config: &Config) -> Result<u64, Error>;

    /// Whether the device can bind what a step works on. Nothing is allocated.
    ///
    /// # Errors
    /// Naming what is too large, and the largest batch that fits.
    fn check(&self, _engine: &Engine, _config: &Config) -> Result<(), Error> {
        Ok(())
    }

    /// Bytes of the activations of a micro-batch and their gradients if these parameters are trainable, and of what a
    /// test needs in addition; `None` if they are unknown before they are allocated.
    ///
    /// # Errors
    /// Sizes that do not make a step.
    fn activation_bytes(&self, _config: &Config, _trainable: &dyn Fn(&str) -> bool) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    /// The pass of a micro-batch if these parameters are trainable, as its values are laid out; `None` for a task that has none to
    /// show.
    ///
    /// # Errors
    /// Sizes that do not make a step.
    fn step_pass(&self, _config: &Config, _trainable: &dyn Fn(&str) -> bool) -> Result<Option<Pass>, Error> {
        Ok(None)
    }

    /// Puts the data on a device.
    ///
    /// # Errors
    /// Out of device memory.
    fn place(&self, engine: &Engine, config: &Config) -> Result<Box<dyn Placed>, Error>;
}

/// A task on a device.
pub trait Placed: Send {
    /// Gather, forward, loss and backward of every micro-batch of a step. Frozen parameters get no gradient. Made again
    /// when others are trainable.
    ///
    /// # Errors
    /// Out of device memory.
    fn step(&mut self, parameters: &Parameters, optimizer: &Optimizer) -> Result<Program, Error>;

    /// Forward pass and loss over a batch of the test set. It may use a step's memory: the two never run at the same
    /// time. Made again when others are trainable.
    ///
    /// # Errors
    /// Out of device memory.
    fn test(&mut self, parameters: &Parameters, optimizer: &Optimizer) -> Result<Test, Error>;

    /// The same over each of the further sets.
    ///
    /// # Errors
    /// Out of device memory.
    fn also(&mut self, _parameters: &Parameters, _optimizer: &Optimizer) -> Result<Vec<Test>, Error> {
        Ok(Vec::new())
    }

    /// Whether batch norms that are frozen follow the batches of steps that are made from now on: their running statistics move.
    fn frozen_norms_track(&mut self, _track: bool) {}

    /// Others are trainable now, or values were uploaded: what was made for the programs so far can go.
    fn forget(&mut self) {}

    /// A checksum of the examples, by which ranks know that they have the same. Waits for the device.
    ///
    /// # Errors
    /// From the device.
    fn sum(&self) -> Result<String, Error> {
        Ok(String::new())
    }

    /// What a step needs from the host, apart from the optimizer's table.
    fn uploads(&self, _step: u64) -> Vec<Upload> {
        Vec::new()
    }

    /// Bytes of those uploads, of each step.
    fn upload_bytes(&self) -> u64 {
        0
    }

    /// What was done with the folder that keeps trunks, for each set of examples.
    fn trunk_notes(&self) -> Vec<CacheNote> {
        Vec::new()
    }

    /// Bytes of what a frozen trunk made of the examples.
    fn trunk_bytes(&self) -> u64 {
        0
    }

    /// Counts of the losses of the running epoch: [`Metrics`](crate::engine::layout::Metrics).
    fn trained(&self) -> Range;

    /// The same of the test.
    fn tested(&self) -> Range;

    /// What the tests of further sets count: the losses of each, and its counts.
    fn also_counted(&self) -> Vec<(Range, Option<Range>)> {
        Vec::new()
    }

    /// The counts of the test, for its task's [`Scoring`].
    fn counts(&self) -> Option<Range> {
        None
    }
}

/// Where a parameter's gradient goes, `None` for a frozen one.
pub(super) fn gradient_of(optimizer: &Optimizer, name: &str) -> Result<Option<Range>, Error> {
    Ok(if optimizer.is_trainable(name)? { Some(optimizer.gradient(name)?) } else { None })
}

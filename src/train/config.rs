//! How to train.

use super::Error;
use super::cache::Cache;
use crate::dist::Rank;
use crate::engine::CLOCK_SLOTS;
use crate::engine::kernels::ValueStorage;
use crate::nn::{self, MixedPrecision};
use crate::optim::{Precision, Settings};
use crate::params::{Param, Storage, nearest};
use crate::setters::setters;
use std::collections::BTreeSet;

/// How many steps a submission holds. There are fewer if they would keep the device busy for more than 100 ms, as
/// measured on the run's own steps, and the first step is always alone. Evaluations, checkpoints, phases and the end of
/// an epoch come between submissions, so the run is the same to the last bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepsPerSubmission {
    /// As many as the time allows, up to 256.
    Auto,
    /// So many at most, from 1 to [`CLOCK_SLOTS`].
    AtMost(u32),
}

impl StepsPerSubmission {
    /// The most steps of a submission, however long they take.
    pub(super) fn most(self) -> u32 {
        match self {
            StepsPerSubmission::Auto => 256,
            StepsPerSubmission::AtMost(steps) => steps,
        }
    }
}

/// How to train; what the optimizer starts with and what moves it is the plan's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Rows of a micro-batch.
    pub batch_size: usize,
    /// Micro-batches of a step on each rank; their gradients add up to the mean over the rows of the step. Where rows do not count
    /// (padding), it is the mean of the micro-batches' own means.
    pub micro_batches: usize,
    /// Which rank of how many trains with this. A step has the micro-batches of all ranks: each takes its own, in their order. See
    /// [`Trainer::join`](super::Trainer::join).
    pub rank: Rank,
    /// Whether ranks share out the moments of the optimizer: each keeps those of its parameters and updates these, and then all get
    /// the values from each other.
    pub shard_optimizer: bool,
    /// Times through the train set. Rows left over after the last whole step of an epoch are not used in it; every
    /// epoch has its own order.
    pub epochs: usize,
    /// Steps of a submission, if nothing between them needs the host. [`Trainer::advance`](super::Trainer::advance)
    /// takes those of one.
    pub steps_per_submission: StepsPerSubmission,
    /// Seed of initial values, orders and stochastic rounding.
    pub seed: u32,
    /// How parameters are stored: f32 or bf16, which holds of those that [models read so](nn::reads_bf16); the others and all
    /// gradients are f32. Neither SGD nor a moving average goes with it. What bf16 costs in quality is in
    /// `docs/transformer.md`.
    pub parameters: Storage,
    /// What activations and their gradients are stored in; sums, losses, gradients of parameters and the update are f32.
    pub values: MixedPrecision,
    /// The part of each target that is spread evenly over the classes, in training and in tests, as torch's `label_smoothing`; from 0
    /// to 1. Only a loss of classes has it.
    pub label_smoothing: f32,
    /// The lowest layers of a model that make their activations again for the backward pass, instead of keeping them: so many. The
    /// bits of a run are the same with any number.
    pub recomputed_layers: usize,
    /// Clip, guard and pages. The seed in here is not looked at: it is the run's.
    pub settings: Settings,
    /// Whether the frozen bottom of a model runs without dropout, so that its outputs can be cached.
    pub still_trunk: bool,
    /// Bytes of device memory that the best copy may take; the rest is in host memory.
    pub best_device_limit_bytes: u64,
    /// Bytes of device memory for a set of pictures, if a binding can hold as many; a larger one stays in host memory, and each step and
    /// each batch of a test uploads its own. The bits of a run are the same.
    pub examples_device_limit_bytes: u64,
    /// Bytes of device memory for the cached outputs of a frozen trunk for each example; the test set may take as much
    /// again. The bits of a run are the same with and without the cache.
    pub trunk_device_limit_bytes: u64,
    /// Where the cached outputs are kept for runs to come, if anywhere.
    pub trunk_cache: Option<Cache>,
    /// Bytes of host memory for the same, if it is too much for the device: then a step uploads its rows.
    pub trunk_host_limit_bytes: u64,
}

impl Default for Config {
    /// Batches of 32, one epoch, a step a submission, the guard on, and up to 1 GiB of device memory each for the best copy and
    /// for a frozen trunk, which goes to host memory beyond that, up to 1 GiB too.
    fn default() -> Config {
        Config {
            batch_size: 32,
            micro_batches: 1,
            rank: Rank::default(),
            shard_optimizer: false,
            epochs: 1,
            steps_per_submission: StepsPerSubmission::AtMost(1),
            seed: 1,
            parameters: Storage::F32,
            values: MixedPrecision::default(),
            label_smoothing: 0.0,
            recomputed_layers: 0,
            settings: Settings { guard: true, ..Settings::default() },
            still_trunk: false,
            best_device_limit_bytes: 1 << 30,
            examples_device_limit_bytes: u64::MAX,
            trunk_device_limit_bytes: 1 << 30,
            trunk_cache: None,
            trunk_host_limit_bytes: 1 << 30,
        }
    }
}

impl Config {
    setters! {
        batch_size: usize,
        micro_batches: usize,
        rank: Rank,
        shard_optimizer: bool,
        epochs: usize,
        steps_per_submission: StepsPerSubmission,
        seed: u32,
        parameters: Storage,
        values: impl Into<MixedPrecision>,
        label_smoothing: f32,
        recomputed_layers: usize,
        settings: Settings,
        still_trunk: bool,
        best_device_limit_bytes: u64,
        examples_device_limit_bytes: u64,
        trunk_device_limit_bytes: u64,
        trunk_cache: impl Into<Option<Cache>>,
        trunk_host_limit_bytes: u64,
    }

    /// Rows of a step, on all ranks together.
    pub fn rows_per_step(&self) -> usize {
        self.batch_size.saturating_mul(self.step_micro_batches())
    }

    /// Micro-batches of a step, on all ranks together.
    pub(super) fn step_micro_batches(&self) -> usize {
        self.micro_batches.saturating_mul(self.rank.of)
    }

    /// How a parameter and its gradient are stored.
    pub fn precision(&self, param: &Param) -> Precision {
        let is_small = self.parameters != Storage::F32 && nn::reads_bf16(param);
        if is_small { Precision::Mixed } else { Precision::F32 }
    }

    /// Modules that work in f32 are modules of the model.
    pub(super) fn check_modules(&self, params: &[Param]) -> Result<(), Error> {
        let known: BTreeSet<&str> = params.iter().filter_map(|param| Some(param.name.rsplit_once('.')?.0)).collect();
        match self.values.wide.iter().find(|module| !known.contains(module.as_str())) {
            None => Ok(()),
            Some(module) => {
                let nearest = nearest(module, known.iter().copied()).map(str::to_owned);
                Err(Error::UnknownModule { module: module.clone(), nearest })
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.parameters == Storage::Int8 {
            return Err(Error::BadStorage { stored: self.parameters });
        }
        let positive =
            [("batch_size", self.batch_size), ("micro_batches", self.micro_batches), ("epochs", self.epochs)];
        if let Some((setting, value)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(Error::BadSetting { setting, value, reason: "at least 1 is needed".to_owned() });
        }
        if self.rank.number >= self.rank.of {
            let reason = format!("there are {} ranks, numbered from 0 on", self.rank.of);
            return Err(Error::BadSetting { setting: "rank", value: self.rank.number, reason });
        }
        if self.settings.loss_scale.is_some() && self.values.values != ValueStorage::F16 {
            let reason =
                format!("only values in f16 need a loss scale, and these are in {}", self.values.values.name());
            return Err(Error::BadSetting { setting: "loss_scale", value: 1, reason });
        }
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return Err(Error::BadSmoothing { value: self.label_smoothing });
        }
        let most = self.steps_per_submission.most();
        if most == 0 || most > CLOCK_SLOTS {
            let reason = format!("it is from 1 to {CLOCK_SLOTS}");
            return Err(Error::BadSetting { setting: "steps_per_submission", value: most as usize, reason });
        }
        Ok(())
    }
}

//! What can go wrong in training.

use crate::dist::{self, Rank};
use crate::params::Storage;
use crate::params::{Shown, did_you_mean, shown_path};
use crate::{data, engine, nn, optim, schedule};
use std::io;
use std::path::{Path, PathBuf};

/// An error of the train room.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// From the model.
    #[error(transparent)]
    Nn(#[from] nn::Error),
    /// From the optimizer.
    #[error(transparent)]
    Optim(#[from] optim::Error),
    /// From the schedule.
    #[error(transparent)]
    Schedule(#[from] schedule::Error),
    /// From the device.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// A schedule that goes by a metric that is not measured.
    #[error("the schedule needs {monitor:?}, which is not measured{}; measured are {known}", did_you_mean(.nearest), monitor = Shown(.monitor))]
    UnknownMetric {
        /// The metric.
        monitor: String,
        /// Those that are measured.
        known: String,
        /// The nearest of them.
        nearest: Option<String>,
    },
    /// Decisions at a lag need the device to find the best evaluation, and it cannot by this metric.
    #[error(
        "with decide: lag the device finds the best evaluation, but it cannot compare {monitor}; it compares {comparable}"
    )]
    Incomparable {
        /// The metric.
        monitor: String,
        /// Those by which it can.
        comparable: String,
    },
    /// A part of the targets that is none.
    #[error("label_smoothing = {value} is not from 0 to 1")]
    BadSmoothing {
        /// The part.
        value: f32,
    },
    /// A module that is to work in f32 and that the model does not have.
    #[error("use_mixed_precision.f32 has {:?}, which is no module of the model{}", Shown(.module), did_you_mean(.nearest))]
    UnknownModule {
        /// The module.
        module: String,
        /// The nearest that the model has.
        nearest: Option<String>,
    },
    /// A step takes more memory than it may, even if all layers make their activations again.
    #[error(
        "a step of {batch_size} rows takes {:.1} MB, {:.1} if all layers make their activations again, and the limit is {:.1} \
         (memory_limit_megabytes): a smaller batch_size with more gradient_accumulation_steps takes less",
        *.bytes as f64 / 1e6, *.least as f64 / 1e6, *.limit_bytes as f64 / 1e6
    )]
    OverLimit {
        /// Rows of a micro-batch.
        batch_size: usize,
        /// Bytes of a step that keeps all activations.
        bytes: u64,
        /// The least that it can take.
        least: u64,
        /// Those that it may take.
        limit_bytes: u64,
    },
    /// Values in f16 were not finite for so many steps in a row, though the loss scale backed off each time.
    #[error(
        "{steps} steps in a row, up to step {step}, were skipped: a number is not finite however small the loss scale{}; values in bf16 have the range of f32",
        said(.first)
    )]
    Overflow {
        /// The last of the steps.
        step: u64,
        /// How many.
        steps: u64,
        /// Where the coming step's numbers first are not finite.
        first: Option<Overflow>,
    },
    /// The device has done an evaluation, and its metrics are not there.
    #[error("the metrics of the evaluation after {steps} steps did not arrive")]
    NoReport {
        /// Steps done then.
        steps: u64,
    },
    /// Decisions at a lag need the best copy on the device, and it may not take so much there.
    #[error(
        "decide: lag keeps the best copy on the device; it needs {bytes} bytes, and the limit is {limit_bytes} (best_device_limit_bytes)"
    )]
    NoRoomForBest {
        /// Bytes of the copy once all has thawed.
        bytes: u64,
        /// Those that it may take.
        limit_bytes: u64,
    },
    /// A further set whose model is another.
    #[error("the set {name:?} belongs to another model", name = Shown(.name))]
    OtherModel {
        /// What it is called.
        name: String,
    },
    /// A vector is asked for of a model that has none.
    #[error("the inputs of this model have no vectors")]
    NoVectors,
    /// A storage that parameters do not have.
    #[error("parameters cannot be stored in {stored}, only in f32 and bf16")]
    BadStorage {
        /// The storage.
        stored: Storage,
    },
    /// A file or folder that cannot be read or written.
    #[error("{}: {reason}", shown_path(.path))]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's message.
        reason: String,
    },
    /// A file of a checkpoint that is cut off, altered, or none.
    #[error("{}: {reason}", shown_path(.path))]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What was to be written has a number in it that is not finite: what is there stays.
    #[error("{} is not written: {tensor} in it is not finite", .file.display())]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// The parameter, or the parameter and its moment.
        tensor: String,
    },
    /// A parameter that is not finite any more.
    #[error("the run cannot continue: after step {step} {parameter} is not finite")]
    Broken {
        /// Steps done then.
        step: u64,
        /// The parameter.
        parameter: String,
    },
    /// A checkpoint of another run.
    #[error("{}: this is another run: {what} is {there} there and {here} here", shown_path(.path), what = Shown(.what), there = Shown(.there), here = Shown(.here))]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        what: String,
        /// What the checkpoint has.
        there: String,
        /// What this run has.
        here: String,
    },
    /// From other ranks.
    #[error(transparent)]
    Dist(#[from] dist::Error),
    /// A step of a run of several ranks that has not joined them.
    #[error("this is one of several ranks, and it has not joined the others")]
    NotJoined,
    /// Ranks that are not those of the run.
    #[error("this is rank {} of {} by the run's settings, and {} of {} among the ranks", .here.number, .here.of, .there.number, .there.of)]
    OtherRanks {
        /// By the settings.
        here: Rank,
        /// Among the ranks.
        there: Rank,
    },
    /// Ranks that would not train the same run.
    #[error("rank {rank} is not about to train the same run as rank 0: {what} is {there} on rank 0 and {here} on rank {rank}", what = Shown(.what), there = Shown(.there), here = Shown(.here))]
    RanksDiffer {
        /// The rank.
        rank: usize,
        /// What differs.
        what: String,
        /// What the first rank has.
        there: String,
        /// What it has.
        here: String,
    },
    /// From the data.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// A text of another vocabulary than the model's.
    #[error("the text has a vocabulary of {text} tokens, the model of {model}")]
    Vocabulary {
        /// Tokens of the text's.
        text: usize,
        /// Tokens of the model's.
        model: usize,
    },
    /// A set of sequences that does not fit the model.
    #[error("the {which} set has {what} {set}, the model {model}")]
    Sequences {
        /// `train` or `test`.
        which: &'static str,
        /// What differs.
        what: &'static str,
        /// The set's.
        set: usize,
        /// The model's.
        model: usize,
    },
    /// A prompt that no text can begin with.
    #[error("a prompt of {tokens} tokens: it needs from 1 to {context}, each below {vocab}")]
    BadPrompt {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens that the model reads.
        context: usize,
        /// Tokens of the model's vocabulary.
        vocab: usize,
    },
    /// A number by which no token can be drawn.
    #[error("{setting} = {value}: it must be {allowed}")]
    BadSampling {
        /// Which setting.
        setting: &'static str,
        /// The value given.
        value: f64,
        /// What it may be.
        allowed: &'static str,
    },
    /// A model that predicts no tokens is to continue a text.
    #[error("the model is no decoder: it does not continue texts")]
    NotDecoder,
    /// Logits that are not finite.
    #[error("the logits after {tokens} tokens are not finite: the model is broken")]
    BrokenLogits {
        /// Tokens that the model has read.
        tokens: usize,
    },
    /// A setting out of range.
    #[error("{setting} = {value}: {reason}")]
    BadSetting {
        /// Which setting.
        setting: &'static str,
        /// The value given.
        value: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A limit of memory below what a batch of one row takes.
    #[error(
        "a batch of 1 takes {bytes} bytes with parameters, gradients, moments and activations; the limit is {limit_bytes}"
    )]
    NoBatchFits {
        /// What it takes.
        bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// A data set that does not fit the model.
    #[error("the {which} set has {inputs} inputs and {classes} classes, the model {model_inputs} and {model_classes}")]
    Mismatch {
        /// `train` or `test`.
        which: &'static str,
        /// Inputs of the data set.
        inputs: usize,
        /// Classes of the data set.
        classes: usize,
        /// Inputs of the model.
        model_inputs: usize,
        /// Classes of the model.
        model_classes: usize,
    },
}

impl Error {
    /// What went wrong with a file or folder.
    pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> Error + use<> {
        let path = path.to_owned();
        move |error| Error::File { path: path.clone(), reason: error.to_string() }
    }

    /// Whether something is too large, so that less may fit.
    pub fn is_about_room(&self) -> bool {
        match self {
            Error::Engine(error) | Error::Nn(nn::Error::Engine(error)) | Error::Optim(optim::Error::Engine(error)) => {
                matches!(error, engine::Error::OutOfMemory { .. } | engine::Error::TooLarge { .. })
            }
            Error::Nn(nn::Error::ActivationTooLarge { .. }) => true,
            _ => false,
        }
    }

    pub(super) fn bad_file(path: &Path, reason: &str) -> Error {
        Error::BadFile { path: path.to_owned(), reason: reason.to_owned() }
    }
}

/// The place of a step's first value that is not finite.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overflow {
    /// The kernel that made it.
    pub kernel: &'static str,
    /// The parameter that this kernel reads, or the latest one that was read before.
    pub param: Option<String>,
}

fn said(first: &Option<Overflow>) -> String {
    match first {
        Some(Overflow { kernel, param: Some(param) }) => format!(", first from {kernel} at {:?}", Shown(param)),
        Some(Overflow { kernel, param: None }) => format!(", first from {kernel}"),
        None => String::new(),
    }
}

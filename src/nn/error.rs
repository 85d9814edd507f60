//! What can be wrong with a model.

use crate::engine;
use crate::params::Shown;
use crate::params::Storage;

/// An error of the nn room.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Layer sizes that make no model.
    #[error("an MLP of sizes {sizes:?}: {reason}")]
    BadSizes {
        /// The sizes given.
        sizes: Vec<usize>,
        /// What is wrong.
        reason: &'static str,
    },
    /// A batch without something that the model reads.
    #[error("the batch holds no {name:?}, which the model reads")]
    NoInput {
        /// The input's name.
        name: &'static str,
    },
    /// A batch with less of an input than the model reads.
    #[error("the batch holds {bytes} bytes of {name:?}; the model reads {needed}")]
    ShortInput {
        /// The input's name.
        name: &'static str,
        /// What is known.
        bytes: u64,
        /// What is read.
        needed: u64,
    },
    /// A parameter that the device cannot bind whole, as every kernel of a model does.
    #[error("parameter {name:?} takes {bytes} bytes; this device binds at most {limit} at once", name = Shown(.name))]
    ParameterTooLarge {
        /// The parameter.
        name: String,
        /// Its size in bytes.
        bytes: u64,
        /// The device's limit in bytes.
        limit: u64,
    },
    /// A batch with an activation that the device cannot bind whole.
    #[error(
        "a batch of {batch}: activation {name:?} takes {bytes} bytes, this device binds at most {limit} at once; {}",
        told_most(*.most), name = Shown(.name))]
    ActivationTooLarge {
        /// Rows or sequences of the batch.
        batch: usize,
        /// The activation.
        name: String,
        /// Its size in bytes.
        bytes: u64,
        /// The device's limit in bytes.
        limit: u64,
        /// The largest batch that fits, 0 for none.
        most: usize,
    },
    /// A matrix that is stored as no kernel of a model reads it.
    #[error(
        "a matrix with rows of {width} is stored in {stored}; a model reads f32, and bf16 where rows are a multiple of 4"
    )]
    Unreadable {
        /// How it is stored.
        stored: Storage,
        /// Numbers of a row.
        width: usize,
    },
    /// A vector that is not stored in f32.
    #[error("a bias or a norm's gain is stored in {stored}; a model reads vectors in f32")]
    UnreadableVector {
        /// How it is stored.
        stored: Storage,
    },
    /// An embedding's tables that are not stored alike.
    #[error("the tables of an embedding are stored in {} and {}; it reads them alike", .stored[0], .stored[1])]
    TablesDiffer {
        /// How two of them are stored.
        stored: [Storage; 2],
    },
    /// An unknown activation.
    #[error("activation {name:?} is not known; there are \"relu\", \"gelu\", \"gelu_new\", \"tanh\", \"relu6\" and \"silu\"", name = Shown(.name))]
    UnknownActivation {
        /// The name given.
        name: String,
    },
    /// An unknown preset.
    #[error("preset {name:?} is not known; there are tiny, small and base", name = Shown(.name))]
    UnknownPreset {
        /// The name given.
        name: String,
    },
    /// A size that makes no transformer.
    #[error("{setting} = {value} is not {allowed}")]
    BadConfig {
        /// Which.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        allowed: &'static str,
    },
    /// A setting that makes no model.
    #[error("{setting} = {value} is not {allowed}", value = Shown(.value))]
    BadSetting {
        /// Which.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// A required setting is missing.
    #[error("there is no {setting}: {allowed}")]
    NoSetting {
        /// Which.
        setting: &'static str,
        /// What it may be.
        allowed: String,
    },
    /// A checkpoint that is not this model's: everything that is wrong with it.
    #[error("the checkpoint does not fit the model: {}", .0.join("; "))]
    BadCheckpoint(
        /// A line for each tensor.
        Vec<String>,
    ),
    /// The device refused.
    #[error(transparent)]
    Engine(#[from] engine::Error),
}

fn told_most(most: usize) -> String {
    match most {
        0 => "not even a batch of 1 fits".to_owned(),
        most => format!("the largest batch that fits is {most}"),
    }
}

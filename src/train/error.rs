//! What can go wrong in training.

use crate::{engine, nn, optim, schedule};

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

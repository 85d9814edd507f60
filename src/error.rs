//! One error over the errors of the rooms.

use crate::{data, engine, nn, optim, params, run, schedule, train};

/// Any error of this crate. Each room has its own; this one holds them all.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "one variant a room")]
pub enum Error {
    #[error(transparent)]
    Params(#[from] params::Error),
    #[error(transparent)]
    Schedule(#[from] schedule::Error),
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    Optim(#[from] optim::Error),
    #[error(transparent)]
    Nn(#[from] nn::Error),
    #[error(transparent)]
    Data(#[from] data::Error),
    #[error(transparent)]
    Run(#[from] run::Error),
    #[error(transparent)]
    Train(#[from] train::Error),
}

//! One error over the errors of the rooms.

#[cfg(feature = "nn")]
use crate::nn;
#[cfg(feature = "data")]
use crate::{data, dist, run, train};
use crate::{engine, optim, params, schedule};

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
    #[cfg(feature = "nn")]
    #[error(transparent)]
    Nn(#[from] nn::Error),
    #[cfg(feature = "data")]
    #[error(transparent)]
    Data(#[from] data::Error),
    #[cfg(feature = "data")]
    #[error(transparent)]
    Dist(#[from] dist::Error),
    #[cfg(feature = "data")]
    #[error(transparent)]
    Run(#[from] run::Error),
    #[cfg(feature = "data")]
    #[error(transparent)]
    Train(#[from] train::Error),
}

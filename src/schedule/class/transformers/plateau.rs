//! torch's plateau under another name.

use super::super::torch::Plateau;
use super::{Arguments, Built};

/// `transformers.get_reduce_on_plateau_schedule`: torch's ReduceLROnPlateau with the same arguments.
pub(super) fn make(arguments: &Arguments) -> Built {
    Ok(Box::new(Plateau::read("get_reduce_on_plateau_schedule", arguments)?))
}

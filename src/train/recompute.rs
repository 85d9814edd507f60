//! How many layers have to make their activations again for a step to fit a limit of memory.

use super::batch_size::{bytes, trainable_rows};
use super::{Config, Error, Task};
use crate::params::Group;

/// The layers that make their activations again, and what that saves and costs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recomputed {
    /// The lowest layers of the model: so many.
    pub layers: usize,
    /// Of so many.
    pub of: usize,
    /// Bytes of parameters, gradients, moments and activations.
    pub bytes: u64,
    /// The same if every layer keeps its activations.
    pub bytes_if_kept: u64,
    /// Multiplications of layers of matrices in a step, relative to one that keeps them all.
    pub products: f64,
}

/// The fewest layers that have to make their activations again so that a step takes at most `limit_bytes`: parameters, gradients,
/// moments and activations, those of a test too. `groups` are the trainable ones.
///
/// # Errors
/// [`Error::OverLimit`] if all layers are too few; sizes that do not make a step.
pub fn recomputed_layers(
    task: &dyn Task,
    config: &Config,
    groups: &[Group],
    limit_bytes: u64,
) -> Result<Recomputed, Error> {
    let rows = trainable_rows(groups);
    let of = |layers| Config { recomputed_layers: layers, ..config.clone() };
    let pass = |layers| task.step_pass(&of(layers), &|name| rows.contains_key(name));
    let kept = pass(0)?;
    let (all, products) = kept.as_ref().map_or((0, 0), |pass| (pass.layers(), pass.products()));
    let bytes_if_kept = bytes(task, &of(0), groups)?;
    let mut least = bytes_if_kept;
    for layers in 0..=all {
        let bytes = bytes(task, &of(layers), groups)?;
        least = least.min(bytes);
        if bytes <= limit_bytes {
            let again = pass(layers)?.map_or(0, |pass| pass.products());
            let products = again as f64 / products.max(1) as f64;
            return Ok(Recomputed { layers, of: all, bytes, bytes_if_kept, products });
        }
    }
    let batch_size = config.batch_size;
    Err(Error::OverLimit { batch_size, bytes: bytes_if_kept, least, limit_bytes })
}

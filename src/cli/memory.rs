//! What a run keeps in memory, for its report.

use super::phase_table::size;
use super::ready::Ready;
use gradus::train::Trainer;
use std::collections::HashSet;

/// Bytes by what they hold, with the parameters that train now.
pub(super) fn rows(ready: &Ready, trainer: &Trainer) -> anyhow::Result<Vec<(&'static str, String)>> {
    let optimizer = trainer.optimizer();
    let held = [
        ("parameters", Some(trainer.parameters().bytes())),
        ("gradients", Some(optimizer.gradient_bytes())),
        ("moments and averages", Some(optimizer.state_bytes())),
        ("table of rates", Some(optimizer.table_bytes())),
        ("activations of a pass", activations(ready, trainer)?),
        ("best copy", Some(trainer.best_bytes()).filter(|bytes| *bytes > 0)),
        ("outputs of the frozen trunk", Some(trainer.trunk_bytes()).filter(|bytes| *bytes > 0)),
    ];
    Ok(held.into_iter().filter_map(|(name, bytes)| Some((name, size(bytes?)))).collect())
}

/// The memory of activations and their gradients, if it is known.
fn activations(ready: &Ready, trainer: &Trainer) -> anyhow::Result<Option<u64>> {
    let (task, phases) = (&ready.material.task, trainer.plan().phases());
    let params = task.params();
    let thawed = phases.iter().take(trainer.cursor().depth() + 1).flat_map(|phase| &phase.params);
    let names: HashSet<&str> = thawed.map(|place| params[*place].name.as_str()).collect();
    Ok(task.activation_bytes(&ready.run.config(ready.batch_rows), &|name| names.contains(name))?)
}

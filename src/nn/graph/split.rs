//! Cuts a pass above a frozen part: the **trunk**, whose values are the same for an example until something below the
//! cut thaws, and the **top**, which starts from them.

use super::backward::needed;
use super::memory::Memory;
use super::pass::Pass;
use super::value::Value;
use crate::nn::ops::{Operate, Operation};

impl Pass {
    /// The part that does not depend on trainable parameters; what the [`top`](Pass::top) reads of it stays in memory
    /// after it, see [`Workspace::kept`](super::Workspace::kept). `None` without a linear layer or a convolution in
    /// it, as nothing would be saved. Values that dropout changes at every step are not part of it, nor what depends on them.
    #[must_use]
    pub fn trunk(&self, trainable: impl Fn(&str) -> bool) -> Option<Pass> {
        let Cut { below, inputs, .. } = self.cut(&trainable)?;
        let memory = Memory::of((&self.nodes, self.examples), &below, &inputs, &[]);
        let forward = below.len();
        Some(Pass { operations: below, forward, memory, kept: inputs, trained: Vec::new(), ..self.clone() })
    }

    /// The rest: it starts from values that somebody else puts into [`Workspace::inputs`](super::Workspace::inputs).
    /// `None` if there is no trunk.
    #[must_use]
    pub fn top(&self, trainable: impl Fn(&str) -> bool) -> Option<Pass> {
        let Cut { below, above, inputs } = self.cut(&trainable)?;
        let memory = Memory::of((&self.nodes, self.examples), &above, &self.kept, &inputs);
        let forward = self.forward - below.len();
        Some(Pass { operations: above, forward, memory, inputs, ..self.clone() })
    }

    fn cut(&self, trainable: &dyn Fn(&str) -> bool) -> Option<Cut> {
        let (forward, backward) = self.operations.split_at(self.forward);
        let moving = self.moving(forward, trainable);
        let moves = |value: &Value| moving[self.nodes.owner(*value).0];
        let is_below = |operation: &Operation| !operation.is_loss() && !operation.uses().writes.iter().any(moves);
        let (below, mut above): (Vec<Operation>, Vec<Operation>) = forward.iter().cloned().partition(is_below);
        above.extend_from_slice(backward);
        if !below.iter().any(|operation| matches!(operation, Operation::Linear(_) | Operation::Conv(_))) {
            return None;
        }
        let own = |value: Value| self.nodes.owner(value);
        let read: Vec<Value> = above.iter().flat_map(|operation| operation.uses().reads).map(own).collect();
        let made = below.iter().flat_map(|operation| operation.uses().writes).map(own);
        let mut inputs: Vec<Value> = made.filter(|value| read.contains(value)).collect();
        inputs.dedup();
        Some(Cut { below, above, inputs })
    }
}

impl Pass {
    /// Whether each value may be another at the next step: it depends on a trainable parameter, or on dropout.
    fn moving(&self, forward: &[Operation], trainable: &dyn Fn(&str) -> bool) -> Vec<bool> {
        let mut moving = needed(&self.nodes, forward, trainable);
        for operation in forward {
            let uses = operation.uses();
            if operation.drops() || uses.reads.iter().any(|read| moving[self.nodes.owner(*read).0]) {
                uses.writes.iter().for_each(|write| moving[self.nodes.owner(*write).0] = true);
            }
        }
        moving
    }
}

/// The operations on both sides, and what goes across.
struct Cut {
    below: Vec<Operation>,
    above: Vec<Operation>,
    inputs: Vec<Value>,
}

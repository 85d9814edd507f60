//! Operations folded into a neighbour, so that a result is not written and read once more: an activation or a residual into
//! the linear layer before it, a residual into the dropout or the LayerScale before it, or into the norm after it.
//!
//! Only if nothing else reads the value between. The folded operation takes the later one's place, where all inputs of
//! both exist.

use super::backward::readers;
use super::graph::Graph;
use super::value::Value;
use crate::nn::ops::{Fused, Operate, Operation};

impl Graph {
    /// Folds what can be folded, but keeps the value that stays after the pass.
    pub(super) fn fuse(&mut self, kept: Value) {
        let mut readers = readers(&self.nodes, &self.operations);
        readers[kept.0] += 1;
        let mut fused: Vec<Option<Operation>> = Vec::with_capacity(self.operations.len());
        for operation in std::mem::take(&mut self.operations) {
            let made = operation.uses().reads.first().and_then(|x| {
                let before = fused.iter().rposition(|before| {
                    before.as_ref().is_some_and(|before| before.uses().writes.first() == Some(x))
                })?;
                if readers[x.0] > 1 {
                    return None;
                }
                let folded = self.folded(fused[before].as_ref()?, &operation)?;
                fused[before] = None;
                Some(folded)
            });
            fused.push(Some(made.unwrap_or(operation)));
        }
        self.operations = fused.into_iter().flatten().collect();
    }

    /// Both in one, if there is a kernel for it. `second` reads the first result of `first`.
    fn folded(&mut self, first: &Operation, second: &Operation) -> Option<Operation> {
        match (first, second) {
            (Operation::Linear(linear), Operation::Activate(activate)) if linear.can_fold() => {
                let mut linear = linear.clone();
                linear.fused = Fused::Activation(activate.activation, activate.h);
                Some(linear.into())
            }
            (Operation::Linear(linear), Operation::Add(add)) if linear.can_fold() => {
                let mut linear = linear.clone();
                self.nodes.relabel(add.y, linear.z);
                (linear.z, linear.fused) = (add.y, Fused::Residual(add.residual));
                Some(linear.into())
            }
            (Operation::Dropout(dropout), Operation::Add(add)) if dropout.residual.is_none() => {
                let mut dropout = dropout.clone();
                self.nodes.relabel(add.y, dropout.y);
                (dropout.y, dropout.residual) = (add.y, Some(add.residual));
                Some(dropout.into())
            }
            (Operation::LayerScale(scale), Operation::Add(add)) if scale.residual.is_none() => {
                let mut scale = scale.clone();
                self.nodes.relabel(add.y, scale.y);
                (scale.y, scale.residual) = (add.y, Some(add.residual));
                Some(scale.into())
            }
            (Operation::Add(add), Operation::LayerNorm(norm)) if norm.residual.is_none() => {
                let mut norm = norm.clone();
                (norm.x, norm.residual) = (add.x, Some((add.residual, add.y)));
                Some(norm.into())
            }
            _ => None,
        }
    }
}

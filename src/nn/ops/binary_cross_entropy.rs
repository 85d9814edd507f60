//! The loss of any number of labels for each example.

use super::loss::{LossValues, RowLosses, against_targets};
use super::{Operate, Uses};
use crate::engine::kernels::BINARY_CROSS_ENTROPY;
use crate::engine::layout::Loss;
use crate::engine::{Dispatch, Engine, Range};
use crate::nn::Error;
use crate::nn::graph::{Backward, Graph, Placing, Sample, Value};

/// The loss of each row, and the gradient of the logits, which it makes at once.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct BinaryCrossEntropy {
    targets: Value,
    of: LossValues,
}

impl Graph {
    /// The binary cross-entropy of each logit against its target, which is from 0 to 1, and the mean over a row's logits. A row
    /// counts unless its label is ignored. As for the rest, see [`softmax_cross_entropy`](Graph::softmax_cross_entropy).
    pub fn binary_cross_entropy(&mut self, logits: Value, targets: Value, labels: Value) {
        self.push_loss(logits, labels, |of| BinaryCrossEntropy { targets, of });
    }
}

impl Operate for BinaryCrossEntropy {
    fn uses(&self) -> Uses {
        self.of.uses(Some(self.targets))
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        self.of.each_value(see);
        see(&mut self.targets);
    }

    fn is_loss(&self) -> bool {
        true
    }

    fn scale_loss(&mut self, scale: &mut dyn FnMut() -> Value) {
        self.of.scale_loss(scale);
    }

    fn backward(&self, back: &mut Backward<'_>) {
        self.of.backward(back);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let LossValues { logits, labels, dlogits, verdicts, position, .. } = self.of;
        self.of.dispatch(&BINARY_CROSS_ENTROPY, at, [logits, self.targets, labels, dlogits, verdicts, position])
    }
}

/// One label, a few, and more than a row of lanes.
pub(super) fn samples() -> Vec<Sample> {
    let losses = |rows: usize, outputs: usize| {
        let name = format!("binary losses, {rows} rows of {outputs} labels");
        against_targets(name, [rows, outputs], Graph::binary_cross_entropy)
    };
    vec![losses(5, 1), losses(130, 6), losses(7, 150)]
}

/// Binary cross-entropy of each row. Memory: z, targets, labels, dz, verdicts (8 bytes a row), position.
/// [`tally`](super::tally) adds the verdicts up. An evaluation does not train: it does not write dz.
///
/// # Errors
/// Out of device memory.
pub fn binary_cross_entropy(
    engine: &Engine,
    shape: &Loss,
    memory: [Range; 6],
    trains: bool,
) -> Result<Dispatch, Error> {
    RowLosses { family: &BINARY_CROSS_ENTROPY, memory, trains, loss_scale: None }.dispatch(engine, shape)
}

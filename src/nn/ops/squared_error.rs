//! The loss of numbers.

use super::loss::{LossValues, RowLosses, against_targets};
use super::{Operate, Uses};
use crate::engine::kernels::SQUARED_ERROR;
use crate::engine::layout::Loss;
use crate::engine::{Dispatch, Engine, Range};
use crate::nn::Error;
use crate::nn::graph::{Backward, Graph, Placing, Sample, Value};

/// The loss of each row, and the gradient of the logits, which it makes at once.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct SquaredError {
    targets: Value,
    of: LossValues,
}

impl Graph {
    /// The squared error of each output against its target, and the mean over a row's outputs. A row
    /// counts unless its label is ignored. As for the rest, see [`softmax_cross_entropy`](Graph::softmax_cross_entropy).
    pub fn squared_error(&mut self, logits: Value, targets: Value, labels: Value) {
        self.push_loss(logits, labels, |of| SquaredError { targets, of });
    }
}

impl Operate for SquaredError {
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
        self.of.dispatch(&SQUARED_ERROR, at, [logits, self.targets, labels, dlogits, verdicts, position])
    }
}

/// One number, a few, and more than a row of lanes.
pub(super) fn samples() -> Vec<Sample> {
    let losses = |rows: usize, outputs: usize| {
        let name = format!("squared errors, {rows} rows of {outputs} numbers");
        against_targets(name, [rows, outputs], Graph::squared_error)
    };
    vec![losses(5, 1), losses(130, 6), losses(7, 150)]
}

/// Squared error of each row. Memory: z, targets, labels, dz, verdicts (8 bytes a row), position.
/// [`tally`](super::tally) adds the verdicts up. An evaluation does not train: it does not write dz.
///
/// # Errors
/// Out of device memory.
pub fn squared_error(engine: &Engine, shape: &Loss, memory: [Range; 6], trains: bool) -> Result<Dispatch, Error> {
    RowLosses { family: &SQUARED_ERROR, memory, trains, loss_scale: None }.dispatch(engine, shape)
}

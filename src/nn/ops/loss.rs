//! Losses and their sums.

use super::{Draft, Operate, Uses, quads, switch};
use crate::engine::kernels::{Family, Flag, SOFTMAX_CROSS_ENTROPY, TALLY};
use crate::engine::layout::{Loss, Verdict};
use crate::engine::{Dispatch, Engine, Range, counted};
use crate::nn::Error;
use crate::nn::graph::{Backward, Form, Graph, Placing, Sample, Value};

/// The loss of each row, and the gradient of the logits, which it makes at once.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct SoftmaxCrossEntropy {
    of: LossValues,
}

/// What every loss reads and writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LossValues {
    pub(super) logits: Value,
    pub(super) labels: Value,
    pub(super) dlogits: Value,
    pub(super) verdicts: Value,
    pub(super) position: Value,
    /// What the gradient is multiplied by, where that is stored in f16.
    pub(super) loss_scale: Option<Value>,
    /// Whether to make a gradient.
    pub(super) trains: bool,
}

/// Adds a batch's verdicts to the counts of its epoch; `loss` is the loss's place among those of the graph.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Tally {
    verdicts: Value,
    position: Value,
    rows: Value,
    loss: usize,
}

impl Graph {
    /// The softmax cross-entropy of each row of logits against its label. A graph may have several: their gradients add up.
    /// Each is a mean over the rows that count, those of the whole step if the batch's position says how many they are.
    pub fn softmax_cross_entropy(&mut self, logits: Value, labels: Value) {
        self.push_loss(logits, labels, |of| SoftmaxCrossEntropy { of });
    }

    /// Appends a loss on these logits, and its tally.
    pub(super) fn push_loss<O: Into<super::Operation>>(
        &mut self,
        logits: Value,
        labels: Value,
        loss_of: impl FnOnce(LossValues) -> O,
    ) {
        let loss = self.operations.iter().filter(|operation| operation.is_tally()).count();
        // Evaluation makes no gradient; the range bound in its place is not written.
        let gradient = if self.trains { self.form(logits) } else { Form::Fixed { bytes: 16 } };
        let label = format!("d.{}", self.nodes[logits].label);
        let dlogits = self.nodes.shared(label, gradient);
        // Tokens in front of an example's own rows may make the logits more.
        let rows = self.context.max(self.form(logits).rows());
        let bytes_per_example = (rows * size_of::<Verdict>()) as u64;
        let verdicts = self.nodes.shared("verdicts", Form::Records { bytes_per_example });
        let (trains, position) = (self.trains, self.position());
        self.push(loss_of(LossValues { logits, labels, dlogits, verdicts, position, loss_scale: None, trains }));
        self.push(Tally { verdicts, position, rows: logits, loss });
    }
}

impl super::Operation {
    pub(in crate::nn) fn is_tally(&self) -> bool {
        matches!(self, super::Operation::Tally(_))
    }
}

impl LossValues {
    /// What a loss uses that reads `targets` too.
    pub(super) fn uses(&self, targets: Option<Value>) -> Uses {
        let reads = [self.logits, self.labels, self.position].into_iter().chain(targets).chain(self.loss_scale);
        Uses::new(reads, [self.dlogits, self.verdicts])
    }

    /// As [`Operate::scale_loss`].
    pub(super) fn scale_loss(&mut self, scale: &mut dyn FnMut() -> Value) {
        self.loss_scale = self.trains.then(scale);
    }

    /// As [`Operate::each_value`].
    pub(super) fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        let LossValues { logits, labels, dlogits, verdicts, position, loss_scale, .. } = self;
        [logits, labels, dlogits, verdicts, position].into_iter().chain(loss_scale).for_each(see);
    }

    /// The dispatch of a loss over this memory. Of it, labels, gradient, verdicts and position are not rows of outputs that
    /// are read.
    pub(super) fn dispatch<E: From<Error>, const N: usize>(
        &self,
        family: &'static Family,
        at: &Placing<'_, E>,
        memory: [Value; N],
    ) -> Result<Option<Dispatch>, E> {
        let mut losses = RowLosses { family, memory: at.ranges(memory)?, trains: self.trains, loss_scale: None };
        losses.loss_scale = self.loss_scale.map(|value| at.range(value)).transpose()?;
        Ok(Some(losses.dispatch(at.engine(), &shape(at, self.logits))?))
    }

    /// The gradient exists already.
    pub(super) fn backward(&self, back: &mut Backward<'_>) {
        if back.needs(self.logits) {
            back.pass(self.logits, self.dlogits);
        }
    }
}

impl Operate for SoftmaxCrossEntropy {
    fn uses(&self) -> Uses {
        self.of.uses(None)
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        self.of.each_value(see);
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
        self.of.dispatch(&SOFTMAX_CROSS_ENTROPY, at, [logits, labels, dlogits, verdicts, position])
    }
}

impl Operate for Tally {
    fn uses(&self) -> Uses {
        Uses::reading([self.verdicts, self.position])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.verdicts, &mut self.position].into_iter().for_each(see);
    }

    fn is_loss(&self) -> bool {
        true
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let [verdicts, position] = at.ranges([self.verdicts, self.position])?;
        let memory = [verdicts, at.metrics(self.loss), position];
        Ok(Some(tally(at.engine(), &shape(at, self.rows), memory)?))
    }
}

pub(super) fn shape<E: From<Error>>(at: &Placing<'_, E>, logits: Value) -> Loss {
    let classes = at.width(logits);
    Loss {
        rows: counted(at.rows(logits)),
        classes: counted(classes),
        quads: counted(quads(classes)),
        ignore: at.loss.ignore,
        smoothing: at.loss.smoothing,
        ..Loss::default()
    }
}

/// One class, a few, and a vocabulary.
pub(super) fn samples() -> Vec<Sample> {
    let losses = |rows: usize, classes: usize| {
        let network = |graph: &mut Graph| {
            let x = graph.rows("rows", 1, 3);
            graph.classified(x, classes)
        };
        Sample::of(format!("losses, {rows} rows of {classes} classes"), [rows, 1], network)
    };
    vec![losses(5, 1), losses(130, 6), losses(7, 1025), losses(3, 30_522)]
}

/// Softmax cross-entropy of each row. Memory: z, labels, dz, verdicts (8 bytes a row), position. [`tally`] adds the
/// verdicts up. An evaluation does not train: it does not write dz.
///
/// # Errors
/// Out of device memory.
pub fn softmax_cross_entropy(
    engine: &Engine,
    shape: &Loss,
    memory: [Range; 5],
    trains: bool,
) -> Result<Dispatch, Error> {
    RowLosses { family: &SOFTMAX_CROSS_ENTROPY, memory, trains, loss_scale: None }.dispatch(engine, shape)
}

/// A loss of each row. Of its memory, labels, gradient, verdicts and position are not rows of outputs that are read;
/// the gradient is written if it trains.
pub(super) struct RowLosses<const N: usize> {
    pub(super) family: &'static Family,
    pub(super) memory: [Range; N],
    pub(super) trains: bool,
    pub(super) loss_scale: Option<Range>,
}

impl<const N: usize> RowLosses<N> {
    pub(super) fn dispatch(self, engine: &Engine, shape: &Loss) -> Result<Dispatch, Error> {
        let RowLosses { family, memory, trains, loss_scale } = self;
        let kernel = family.variant(Flag::Scaled.when(loss_scale.is_some()))?;
        let memory = memory.into_iter().chain(loss_scale).map(Into::into).collect();
        let streams = N as u64 - 4 + u64::from(trains);
        let mut operation = Draft::of_rows(engine, kernel, memory, shape.rows, shape.quads, streams);
        operation.constants.push(switch("GRADIENT", trains));
        operation.dispatch(engine, N, shape)
    }
}

/// A layer of so many outputs for each of so many rows, with a loss of its logits, targets and labels.
pub(super) fn against_targets(
    name: String,
    [rows, outputs]: [usize; 2],
    loss: impl FnOnce(&mut Graph, Value, Value, Value),
) -> Sample {
    let network = |graph: &mut Graph| {
        let x = graph.rows("rows", 1, 3);
        let logits = graph.linear("last", x, outputs);
        let (targets, labels) = (graph.rows("targets", 1, outputs), graph.words("counted", 1));
        loss(graph, logits, targets, labels);
        logits
    };
    Sample::of(name, [rows, 1], network).words("counted", 4)
}

/// Adds a batch's verdicts to the counts of its epoch. Memory: verdicts, metrics, position.
///
/// # Errors
/// Out of device memory.
pub fn tally(engine: &Engine, shape: &Loss, memory: [Range; 3]) -> Result<Dispatch, Error> {
    let operation = Draft {
        kernel: TALLY.plain(),
        memory: memory.into_iter().map(Into::into).collect(),
        constants: Vec::new(),
        invocations: 1,
        workgroup: engine.sizes().tally,
        bytes: 8 * u64::from(shape.rows),
        flops: 0,
    };
    operation.dispatch(engine, 3, shape)
}

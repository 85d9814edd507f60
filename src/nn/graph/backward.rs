//! The backward pass, from the operations in reverse: the only place that makes a gradient, decides whether one is written
//! or added to, or passes one on.
//!
//! It stops when nothing below is trainable: an operation has a backward part only if a parameter at or below it
//! trains. A frozen parameter gets no gradient. A value that several operations read gets the sum of their gradients:
//! the first writes, later ones add, in reverse recorded order. If an operation only adds (a residual), the gradient of
//! both sides is the same memory; an operation that adds to one side before the other is read makes a new value.

use super::graph::Graph;
use super::value::{Form, Home, Nodes, Value};
use crate::nn::Activation;
use crate::nn::ops::{Add, Operate, Operation};
use std::collections::{HashMap, HashSet};

/// The gradients of values, while the pass goes back.
pub(in crate::nn) struct Backward<'a> {
    pub(in crate::nn) nodes: &'a mut Nodes,
    operations: Vec<Operation>,
    examples: usize,
    context: usize,
    /// Whether a value depends on a trainable parameter.
    needed: Vec<bool>,
    trainable: &'a dyn Fn(&str) -> bool,
    /// A value's gradient so far. Several values may own one.
    gradients: HashMap<Value, Value>,
    /// Values whose gradients have been read: the operation that made them is done.
    is_read: HashSet<Value>,
    /// What made an activated value: the activation and its argument.
    activated: HashMap<Value, (Activation, Value)>,
    /// Arguments of activations which the gradient has been taken through already.
    passed: HashSet<Value>,
    /// Parameters whose gradient something of this pass is in.
    begun: HashSet<String>,
}

impl Graph {
    /// Appends the backward pass, and gives the parameters whose gradients it makes: those `trainable` ones that a loss
    /// depends on.
    pub(super) fn backward(&mut self, trainable: &dyn Fn(&str) -> bool) -> HashSet<String> {
        let needed = needed(&self.nodes, &self.operations, trainable);
        let forward = std::mem::take(&mut self.operations);
        let readers = readers(&self.nodes, &forward);
        let mut backward = Backward {
            operations: Vec::new(),
            examples: self.examples,
            context: self.context,
            needed,
            trainable,
            gradients: HashMap::new(),
            is_read: HashSet::new(),
            activated: activated(&forward, &readers),
            passed: HashSet::new(),
            begun: HashSet::new(),
            nodes: &mut self.nodes,
        };
        for operation in forward.iter().rev() {
            operation.backward(&mut backward);
            let written = operation.uses().writes.into_iter().map(|value| backward.nodes.owner(value));
            backward.is_read.extend(written);
        }
        let Backward { operations, begun, .. } = backward;
        self.operations = forward;
        self.operations.extend(operations);
        begun
    }
}

/// Whether each value depends on a trainable parameter.
pub(super) fn needed(nodes: &Nodes, operations: &[Operation], trainable: &dyn Fn(&str) -> bool) -> Vec<bool> {
    let mut needed = vec![false; nodes.len()];
    for operation in operations {
        let uses = operation.uses();
        let reads_one = || uses.reads.iter().any(|read| needed[nodes.owner(*read).0]);
        if operation.params().into_iter().any(trainable) || reads_one() {
            // A plane of a value may depend where another does not: the whole counts as one.
            uses.writes.iter().for_each(|write| needed[nodes.owner(*write).0] = true);
        }
    }
    needed
}

/// How many operations read each value.
pub(super) fn readers(nodes: &Nodes, operations: &[Operation]) -> Vec<usize> {
    let mut readers = vec![0; nodes.len()];
    let reads = operations.iter().flat_map(|operation| operation.uses().reads);
    reads.for_each(|read| readers[nodes.owner(read).0] += 1);
    readers
}

/// Activated values that only one operation reads, by the activation and its argument. Dropout of an activated value
/// counts too: both act on single numbers, so a gradient may go through the activation first.
fn activated(operations: &[Operation], readers: &[usize]) -> HashMap<Value, (Activation, Value)> {
    let mut activated: HashMap<Value, (Activation, Value)> = HashMap::new();
    for operation in operations {
        let made = match operation {
            Operation::Linear(linear) => linear.activated(),
            Operation::Dropout(dropout) if dropout.residual.is_none() => {
                activated.get(&dropout.x).map(|made| (dropout.y, *made))
            }
            _ => None,
        };
        activated.extend(made.filter(|(value, _)| readers[value.0] == 1));
    }
    activated
}

impl Backward<'_> {
    /// The gradient of a value that an operation made; `None` if nobody has one for it. A plane's is that plane of the
    /// whole's.
    pub(in crate::nn) fn of(&mut self, value: Value) -> Option<Value> {
        let Home::Plane { of, number } = self.nodes[value].home else { return self.gradients.get(&value).copied() };
        let whole = *self.gradients.get(&of)?;
        Some(self.plane(whole, number))
    }

    /// A plane of a value.
    pub(in crate::nn) fn plane(&mut self, of: Value, number: usize) -> Value {
        let form = self.form(of).plane();
        self.nodes.add("d.plane", form, Home::Plane { of, number })
    }

    /// Whether a value's gradient leads to that of a trainable parameter.
    pub(in crate::nn) fn needs(&self, value: Value) -> bool {
        self.needed[self.nodes.owner(value).0]
    }

    /// The trainable ones of these parameters: those whose gradients an operation writes, and those that it adds to, because
    /// another use of them has written.
    pub(in crate::nn) fn trained<const N: usize>(
        &mut self,
        names: [Option<&str>; N],
    ) -> Vec<([Option<String>; N], bool)> {
        let part = |adds: bool| {
            let wanted = |name: &&str| (self.trainable)(name) && self.begun.contains(*name) == adds;
            (names.map(|name| name.filter(wanted).map(str::to_owned)), adds)
        };
        let parts: Vec<_> = [part(false), part(true)].into();
        self.begun.extend(names.into_iter().flatten().filter(|name| (self.trainable)(name)).map(str::to_owned));
        parts.into_iter().filter(|(names, _)| names.iter().any(Option::is_some)).collect()
    }

    pub(in crate::nn) fn push(&mut self, operation: impl Into<Operation>) {
        self.operations.push(operation.into());
    }

    /// Has an operation make a value's gradient that can only write one.
    pub(in crate::nn) fn write<O: Into<Operation>>(&mut self, value: Value, make: impl FnOnce(Value) -> O) {
        let gradient = self.gradient_for(value);
        self.push(make(gradient));
        self.pass(value, gradient);
    }

    /// Lets an operation make a value's gradient; `adds` tells it to add to an earlier one.
    pub(in crate::nn) fn add<O: Into<Operation>>(&mut self, value: Value, make: impl FnOnce(Value, bool) -> O) {
        match self.gradients.get(&value).copied() {
            Some(gradient) if !self.is_owned_by_another(gradient, value) => self.push(make(gradient, true)),
            _ => self.write(value, |gradient| make(gradient, false)),
        }
    }

    /// Passes a gradient on; if the value already has one, their sum.
    pub(in crate::nn) fn pass(&mut self, value: Value, gradient: Value) {
        let sum = match self.gradients.get(&value).copied() {
            None => gradient,
            Some(before) => {
                let sum = self.gradient_for(value);
                self.push(Add { x: before, residual: gradient, y: sum });
                sum
            }
        };
        self.gradients.insert(value, sum);
    }

    /// Whether the gradient is another value's too, and what made that value has not read it yet.
    fn is_owned_by_another(&self, gradient: Value, value: Value) -> bool {
        let mut owners = self.gradients.iter().filter(|(_, owned)| **owned == gradient);
        owners.any(|(owner, _)| *owner != value && !self.is_read.contains(owner))
    }

    /// Room for a value's gradient.
    pub(in crate::nn) fn gradient_for(&mut self, value: Value) -> Value {
        let (label, form) = (format!("d.{}", self.nodes[value].label), self.form(value));
        self.nodes.shared(label, form)
    }

    /// The activation that made a value which no other operation reads, and its argument: the reader takes the gradient
    /// through the activation at once.
    pub(in crate::nn) fn below(&mut self, value: Value) -> Option<(Activation, Value)> {
        let (activation, argument) = self.activated.get(&value).copied()?;
        self.passed.insert(argument);
        Some((activation, argument))
    }

    /// Whether the gradient of an activated value is that of the activation's argument already.
    pub(in crate::nn) fn is_passed(&self, argument: Value) -> bool {
        self.passed.contains(&argument)
    }

    pub(in crate::nn) fn form(&self, value: Value) -> Form {
        self.nodes[value].form
    }

    /// Examples of the batch, and rows of each.
    pub(in crate::nn) fn batch(&self) -> [usize; 2] {
        [self.examples, self.context]
    }
}

//! A pass: the operations of a graph, and the memory that they will need, of which nothing is allocated yet.

use super::graph::Graph;
use super::memory::Memory;
use super::value::{Home, Nodes, Value};
use crate::engine::Engine;
use crate::nn::ops::{Operate, Operation};
use crate::nn::{Error, limits};
use crate::params::Param;
use std::collections::HashSet;

/// The operations of a pass and their memory, of which nothing is allocated yet.
#[derive(Clone, Debug)]
pub struct Pass {
    pub(super) nodes: Nodes,
    pub(super) operations: Vec<Operation>,
    /// How many of them the forward pass has, the losses among them.
    pub(super) forward: usize,
    pub(super) memory: Memory,
    pub(super) examples: usize,
    pub(super) context: usize,
    pub(super) logits: Value,
    /// What is in memory before the pass.
    pub(super) inputs: Vec<Value>,
    /// What stays in memory after it.
    pub(super) kept: Vec<Value>,
    /// The parameters that get gradients.
    pub(super) trained: Vec<String>,
    pub(super) params: Vec<Param>,
}

impl Graph {
    /// The pass of a model with these parameters: forward, losses, and, if the graph [trains](Graph::new), backward
    /// down to the lowest `trainable` parameter. Frozen parameters get no gradient, and values needed only for those
    /// are not kept. The `logits` stay in memory after it.
    pub fn pass(mut self, logits: Value, params: Vec<Param>, trainable: impl Fn(&str) -> bool) -> Pass {
        if self.is_fused {
            self.fuse(logits);
        }
        let forward = self.operations.len();
        let mut trained = Vec::new();
        if self.trains {
            let written = self.backward(&trainable);
            trained.extend(params.iter().map(|param| param.name.clone()).filter(|name| written.contains(name)));
        }
        let Graph { examples, context, nodes, operations, .. } = self;
        let memory = Memory::of((&nodes, examples), &operations, &[logits], &[]);
        let (inputs, kept) = (Vec::new(), vec![logits]);
        Pass { nodes, operations, forward, memory, examples, context, logits, inputs, kept, trained, params }
    }
}

impl Pass {
    /// The pass with the activations of these labels left in memory after it, for
    /// [`Workspace::value`](super::Workspace::value). A label is the module's name and the part:
    /// `transformer.h.0.mlp.c_proj.z`, `encoder.layer.0.output.LayerNorm.y`, `embedded`. A value that was folded into
    /// its neighbour has no label.
    #[must_use]
    pub fn keeping(self, label: impl Fn(&str) -> bool) -> Pass {
        let made = self.operations.iter().flat_map(|operation| operation.uses().writes);
        let made: HashSet<Value> = made.map(|value| self.nodes.owner(value)).chain([self.logits]).collect();
        let is_kept = |value: &Value| {
            let node = &self.nodes[*value];
            made.contains(value) && node.home == Home::Shared && (*value == self.logits || label(&node.label))
        };
        let kept: Vec<Value> = self.nodes.all().filter(is_kept).collect();
        let memory = Memory::of((&self.nodes, self.examples), &self.operations, &kept, &self.inputs);
        Pass { memory, kept, ..self }
    }

    /// The pass in which batch norms that are not trainable leave their running statistics as they are: PyTorch's
    /// `track_running_stats = False` on a module in training.
    #[must_use]
    pub fn holding_frozen(mut self, trainable: impl Fn(&str) -> bool) -> Pass {
        self.operations.iter_mut().for_each(|operation| operation.hold_frozen(&trainable));
        self
    }

    /// All that its operations are, in words: two passes with the same compute the same from the same.
    pub(crate) fn described(&self) -> String {
        let values =
            self.operations.iter().flat_map(|operation| operation.uses()).map(|value| (value, &self.nodes[value]));
        format!("{:?} {:?}", self.operations, values.collect::<Vec<_>>())
    }

    /// The parameters that it reads, in the model's order, and the buffers.
    pub(crate) fn reads(&self) -> Vec<String> {
        let read: HashSet<&str> = self.operations.iter().flat_map(|operation| operation.params()).collect();
        let params =
            self.params.iter().filter(|param| read.contains(param.name.as_str())).map(|param| param.name.clone());
        let buffers = self.operations.iter().flat_map(|operation| operation.buffers(&self.nodes));
        params.chain(buffers.map(|buffer| buffer.name)).collect()
    }

    /// Whether any of its operations has buffers: state that may change though no parameter does.
    pub(crate) fn has_buffers(&self) -> bool {
        self.operations.iter().any(|operation| !operation.buffers(&self.nodes).is_empty())
    }

    /// Bytes of activations and their gradients.
    pub fn bytes(&self) -> u64 {
        self.memory.bytes()
    }

    /// Bytes that this pass takes in addition to another, if they share [memory](Pass::allocate_within).
    pub fn bytes_beside(&self, other: &Pass) -> u64 {
        self.memory.bytes_beside(&other.memory)
    }

    /// Dispatches of the pass, where each parameter that [trains](Pass::trained) has room for its gradient, and parameters lie
    /// as in a model's arenas.
    pub fn dispatch_count(&self) -> usize {
        self.operations.len()
    }

    /// The names of the parameters that get gradients, in the model's order.
    pub fn trained(&self) -> &[String] {
        &self.trained
    }

    /// Numbers in a row of the batch's input of this name, if the pass reads it.
    pub fn width_of(&self, input: &str) -> Option<usize> {
        let mut reads = self.operations.iter().flat_map(|operation| operation.uses().reads);
        let is_it = |value: &Value| matches!(self.nodes[*value].home, Home::Input(name) if name == input);
        reads.find(is_it).map(|value| self.nodes[value].form.width())
    }

    /// Whether the device can bind each parameter and activation. Nothing is allocated.
    ///
    /// # Errors
    /// [`Error::ParameterTooLarge`]; [`Error::ActivationTooLarge`] with the largest batch that fits.
    pub fn check(&self, engine: &Engine) -> Result<(), Error> {
        limits::check_parameters(engine, &self.params)?;
        limits::check_batch(engine.binding_bytes(), self.examples, |examples| self.largest(examples))
    }

    /// The largest batch of which the device can bind each activation, 0 for none.
    pub(in crate::nn) fn largest_batch(&self, engine: &Engine, most: usize) -> usize {
        let limit = engine.binding_bytes();
        limits::largest_that(most, |examples| self.largest(examples).1 <= limit)
    }

    /// The largest activation of a batch of so many examples. No gradient is larger than its value.
    fn largest(&self, examples: usize) -> (String, u64) {
        let made = self.operations[..self.forward].iter();
        let made = made.flat_map(|operation| operation.uses()).map(|value| &self.nodes[value]);
        // The first where several are as large.
        let mut largest = (String::new(), 0);
        for node in made {
            let bytes = node.bytes(examples);
            if bytes > largest.1 {
                largest = (node.label.clone(), bytes);
            }
        }
        largest
    }
}

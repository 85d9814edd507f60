//! The calls of a model's file. Those that append operations are in the operations' files (`nn::ops`).

use super::backward::needed;
use super::value::{Form, Home, Nodes, Value};
use crate::nn::ops::{Operate, Operation};
use crate::params::Param;
use std::collections::HashSet;

/// A pass over a batch as it is written down.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(in crate::nn) examples: usize,
    pub(in crate::nn) context: usize,
    pub(in crate::nn) trains: bool,
    pub(in crate::nn) nodes: Nodes,
    pub(in crate::nn) operations: Vec<Operation>,
    pub(in crate::nn) is_fused: bool,
    /// The trainable parameters; below all of them there is no dropout.
    pub(in crate::nn) trainable: Option<HashSet<String>>,
}

impl Graph {
    /// An empty graph for batches of so many examples, each of `context` rows: tokens of a sequence, or 1. Only
    /// training has dropout and gradients.
    pub fn new(examples: usize, context: usize, trains: bool) -> Graph {
        Graph {
            examples,
            context,
            trains,
            nodes: Nodes::default(),
            operations: Vec::new(),
            is_fused: true,
            trainable: None,
        }
    }

    /// The graph with each operation for itself: nothing is folded into a neighbour.
    #[must_use]
    pub fn unfused(self) -> Graph {
        Graph { is_fused: false, ..self }
    }

    /// The graph without dropout in what no parameter of these has a hand in.
    #[must_use]
    pub fn still_below(self, trainable: HashSet<String>) -> Graph {
        Graph { trainable: Some(trainable), ..self }
    }

    /// Whether dropout leaves a value unchanged: outside training, and in a still trunk.
    pub(in crate::nn) fn is_still(&self, value: Value) -> bool {
        let Some(trainable) = &self.trainable else { return !self.trains };
        let needed = needed(&self.nodes, &self.operations, &|name| trainable.contains(name));
        !self.trains || needed.get(self.nodes.owner(value).0).is_none_or(|is_needed| !is_needed)
    }

    /// Numbers that the batch holds under this name, `[examples · rows, quads(width)]` vec4.
    pub fn rows(&mut self, name: &'static str, rows: usize, width: usize) -> Value {
        self.input(name, Form::Rows { per_example: rows, width })
    }

    /// Words that the batch holds under this name, so many for each example: tokens, a mask, types, labels.
    pub fn words(&mut self, name: &'static str, per_example: usize) -> Value {
        self.input(name, Form::words(per_example))
    }

    pub(in crate::nn) fn input(&mut self, name: &'static str, form: Form) -> Value {
        let is_it = |value: &Value| self.nodes[*value].home == Home::Input(name) && self.form(*value) == form;
        let known = self.nodes.all().find(is_it);
        known.unwrap_or_else(|| self.nodes.add(name, form, Home::Input(name)))
    }

    /// The parameters that its operations read, each with its shape, in the order in which they are first read.
    pub fn params(&self) -> Vec<Param> {
        let mut params: Vec<Param> = Vec::new();
        for operation in &self.operations {
            for (name, shape) in operation.params().into_iter().zip(operation.shapes(&self.nodes)) {
                if params.iter().all(|known| known.name != name) {
                    params.push(Param::new(name, shape));
                }
            }
        }
        params
    }

    /// The buffers that its operations keep, each with its shape: state that is no parameter.
    pub fn buffers(&self) -> Vec<Param> {
        let mut buffers: Vec<Param> = Vec::new();
        for buffer in self.operations.iter().flat_map(|operation| operation.buffers(&self.nodes)) {
            if buffers.iter().all(|known| known.name != buffer.name) {
                buffers.push(buffer);
            }
        }
        buffers
    }

    pub(in crate::nn) fn push(&mut self, operation: impl Into<Operation>) {
        self.operations.push(operation.into());
    }

    pub(in crate::nn) fn form(&self, value: Value) -> Form {
        self.nodes[value].form
    }
}

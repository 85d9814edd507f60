//! What a model file calls. The calls that append operations stand in the operations' own files (`nn::ops`).

use super::value::{Form, Home, Node, Value};
use crate::nn::ops::Operation;
use std::sync::Arc;

/// A pass over a batch as it is written down.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(in crate::nn) examples: usize,
    pub(in crate::nn) context: usize,
    pub(in crate::nn) trains: bool,
    pub(in crate::nn) nodes: Vec<Node>,
    pub(in crate::nn) operations: Vec<Operation>,
    pub(in crate::nn) is_fused: bool,
}

impl Graph {
    /// An empty graph for batches of so many examples, each of `context` rows: tokens of a sequence, or 1. Dropout is a
    /// part of training alone, and so are gradients.
    pub fn new(examples: usize, context: usize, trains: bool) -> Graph {
        Graph { examples, context, trains, nodes: Vec::new(), operations: Vec::new(), is_fused: true }
    }

    /// The graph with each operation for itself: nothing is folded into a neighbour.
    #[must_use]
    pub fn unfused(self) -> Graph {
        Graph { is_fused: false, ..self }
    }

    /// Numbers that the batch holds under this name, `[examples · rows, quads(width)]` vec4.
    pub fn rows(&mut self, name: &'static str, rows: usize, width: usize) -> Value {
        self.input(name, Form::Rows { per_example: rows, width })
    }

    /// Words that the batch holds under this name, so many for each example: tokens, a mask, types, labels.
    pub fn words(&mut self, name: &'static str, per_example: usize) -> Value {
        self.input(name, Form::words(per_example))
    }

    /// Rows of an example, and numbers of a row.
    pub fn shape(&self, value: Value) -> [usize; 2] {
        let form = self.nodes[value.0].form;
        [form.rows(), form.width()]
    }

    pub(in crate::nn) fn input(&mut self, name: &'static str, form: Form) -> Value {
        let known = self.nodes.iter().position(|node| node.home == Home::Input(name));
        known.map_or_else(|| self.node(name, form, Home::Input(name)), Value)
    }

    pub(in crate::nn) fn node(&mut self, label: impl Into<String>, form: Form, home: Home) -> Value {
        add_node(&mut self.nodes, label, form, home)
    }

    /// A value in the pass's memory.
    pub(in crate::nn) fn value(&mut self, label: impl Into<String>, form: Form) -> Value {
        self.node(label, form, Home::Shared)
    }

    /// Words that are the same for every batch.
    pub(in crate::nn) fn constant(&mut self, label: &str, words: impl Into<Arc<[u32]>>) -> Value {
        let words = words.into();
        let form = Form::Fixed { bytes: words.len() as u64 * 4 };
        self.node(label, form, Home::Constant(words))
    }

    pub(in crate::nn) fn push(&mut self, operation: impl Into<Operation>) {
        self.operations.push(operation.into());
    }

    pub(in crate::nn) fn form(&self, value: Value) -> Form {
        self.nodes[value.0].form
    }

    pub(in crate::nn) fn label(&self, value: Value) -> &str {
        &self.nodes[value.0].label
    }
}

/// Appends a node to a list of them.
pub(super) fn add_node(nodes: &mut Vec<Node>, label: impl Into<String>, form: Form, home: Home) -> Value {
    nodes.push(Node { label: label.into(), form, home });
    Value(nodes.len() - 1)
}

/// The value whose memory this is: a plane's is that of what it is a plane of.
pub(super) fn owner(nodes: &[Node], value: Value) -> Value {
    match nodes[value.0].home {
        Home::Plane { of, .. } => of,
        _ => value,
    }
}

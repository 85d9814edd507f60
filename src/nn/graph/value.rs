//! A value of a graph: an activation, a gradient or a record, by its shape and not by its bytes.

use crate::engine::kernels::ValueStorage;
use crate::nn::ops::activation_bytes;
use std::ops::Index;
use std::sync::Arc;

/// A value's place in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(in crate::nn) usize);

/// What a graph knows of a value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Node {
    /// The module's name and the part: `encoder.layer.0.output.LayerNorm.y`.
    pub(in crate::nn) label: String,
    pub(in crate::nn) form: Form,
    pub(in crate::nn) home: Home,
    /// What its numbers are stored in; records are what they are.
    pub(in crate::nn) storage: ValueStorage,
}

/// The values of a graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::nn) struct Nodes(Vec<Node>);

/// How much a value holds for each example of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::nn) enum Form {
    /// An activation or its gradient: `[rows, quads(width)]` vec4, zero after the last column.
    Rows { per_example: usize, width: usize },
    /// Several of one shape, one after the other; each starts at an offset that can be bound.
    Planes { count: usize, per_example: usize, width: usize },
    /// Records, such as moments, log-sum-exps or verdicts.
    Records { bytes_per_example: u64 },
    /// The same for every batch.
    Fixed { bytes: u64 },
}

/// The source of a value's memory.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) enum Home {
    /// The pass's memory, from the value's first use to its last.
    Shared,
    /// A plane of another value, which lives as long as that.
    Plane { of: Value, number: usize },
    /// The batch, by this name.
    Input(&'static str),
    /// A buffer of its own.
    Own,
    /// A buffer of its own with this initial content.
    Constant(Arc<[u32]>),
}

impl Nodes {
    pub(in crate::nn) fn add(&mut self, label: impl Into<String>, form: Form, home: Home) -> Value {
        self.0.push(Node { label: label.into(), form, home, storage: ValueStorage::F32 });
        Value(self.0.len() - 1)
    }

    /// A value in the pass's memory.
    pub(in crate::nn) fn shared(&mut self, label: impl Into<String>, form: Form) -> Value {
        self.add(label, form, Home::Shared)
    }

    /// Words that are the same for every batch.
    pub(in crate::nn) fn constant(&mut self, label: &str, words: impl Into<Arc<[u32]>>) -> Value {
        let words = words.into();
        self.add(label, Form::Fixed { bytes: words.len() as u64 * 4 }, Home::Constant(words))
    }

    /// The value that owns this memory: for a plane, the value that it is part of.
    pub(super) fn owner(&self, value: Value) -> Value {
        match self[value].home {
            Home::Plane { of, .. } => of,
            _ => value,
        }
    }

    /// Has a value's numbers stored so.
    pub(super) fn store(&mut self, value: Value, storage: ValueStorage) {
        self.0[value.0].storage = storage;
    }

    /// Gives a value the label of a removed one.
    pub(super) fn relabel(&mut self, value: Value, gone: Value) {
        self.0[value.0].label = std::mem::take(&mut self.0[gone.0].label);
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = Value> + use<> {
        (0..self.0.len()).map(Value)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Index<Value> for Nodes {
    type Output = Node;

    fn index(&self, value: Value) -> &Node {
        &self.0[value.0]
    }
}

impl Node {
    /// Bytes for so many examples.
    pub(in crate::nn) fn bytes(&self, examples: usize) -> u64 {
        self.stored(self.form.bytes(examples))
    }

    /// Bytes from one of its planes to the next.
    pub(in crate::nn) fn plane_bytes(&self, examples: usize) -> u64 {
        self.stored(self.form.plane_bytes(examples))
    }

    /// What so many bytes of f32 take.
    fn stored(&self, bytes: u64) -> u64 {
        if self.form.has_numbers() { bytes / ValueStorage::F32.quad_bytes() * self.storage.quad_bytes() } else { bytes }
    }
}

impl Form {
    /// Numbers, or what else takes 4 bytes, for each example.
    pub(in crate::nn) fn words(per_example: usize) -> Form {
        Form::Records { bytes_per_example: per_example as u64 * 4 }
    }

    /// Whether it is rows of numbers, which may be stored in fewer bits.
    pub(in crate::nn) fn has_numbers(self) -> bool {
        matches!(self, Form::Rows { .. } | Form::Planes { .. })
    }

    /// Bytes for so many examples, numbers in f32.
    pub(in crate::nn) fn bytes(self, examples: usize) -> u64 {
        match self {
            Form::Rows { per_example, width } => activation_bytes(examples * per_example, width),
            Form::Planes { count, .. } => count as u64 * self.plane_bytes(examples),
            Form::Records { bytes_per_example } => bytes_per_example * examples as u64,
            Form::Fixed { bytes } => bytes,
        }
    }

    /// Bytes from one plane to the next in f32: each starts at an offset that can be bound, in 16 bits too.
    pub(in crate::nn) fn plane_bytes(self, examples: usize) -> u64 {
        self.plane().bytes(examples).next_multiple_of(2 * 256)
    }

    /// One of its planes.
    pub(in crate::nn) fn plane(self) -> Form {
        match self {
            Form::Planes { per_example, width, .. } => Form::Rows { per_example, width },
            other => other,
        }
    }

    /// Rows of an example; 0 for what has none.
    pub(in crate::nn) fn rows(self) -> usize {
        match self {
            Form::Rows { per_example, .. } | Form::Planes { per_example, .. } => per_example,
            Form::Records { .. } | Form::Fixed { .. } => 0,
        }
    }

    /// Numbers of a row; 0 for what has none.
    pub(in crate::nn) fn width(self) -> usize {
        match self {
            Form::Rows { width, .. } | Form::Planes { width, .. } => width,
            Form::Records { .. } | Form::Fixed { .. } => 0,
        }
    }
}

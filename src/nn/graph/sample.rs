//! A small network in which operations are tried: what an operation declares for tests, checks and measurements.

use super::graph::Graph;
use super::value::{Form, Home, Value};
use crate::engine::kernels::ValueStorage;
use crate::params::Param;

/// A network down to its loss, what its inputs hold, and what of it trains.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What is special about it.
    pub name: String,
    graph: Graph,
    logits: Value,
    words: Vec<(&'static str, u32)>,
    trains: fn(&str) -> bool,
    /// Whether matrices are stored in bf16, if a model can read them.
    pub is_bf16: bool,
    /// What values are stored in.
    pub values: ValueStorage,
    /// How the names of the kernels begin that it is made for; the others are of what every network has, such as a loss.
    kernels: &'static [&'static str],
}

/// An input of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Input {
    /// So many rows of so many numbers.
    Rows(usize, usize),
    /// So many words, all below this.
    Words(usize, u32),
}

impl Sample {
    /// A network over so many examples of so many rows each; `network` gives its logits.
    pub(in crate::nn) fn of(
        name: impl Into<String>,
        [examples, context]: [usize; 2],
        network: impl FnOnce(&mut Graph) -> Value,
    ) -> Sample {
        let mut graph = Graph::new(examples, context, true);
        let logits = network(&mut graph);
        let classes = graph.form(logits).width() as u32;
        let words = vec![("labels", classes), ("mask", 2)];
        let (name, values) = (name.into(), ValueStorage::F32);
        Sample { name, graph, logits, words, trains: |_| true, is_bf16: false, values, kernels: &[""] }
    }

    /// The sample that is made for kernels whose names begin so.
    pub(in crate::nn) fn made_for(self, kernels: &'static [&'static str]) -> Sample {
        Sample { kernels, ..self }
    }

    /// Whether it is made for a kernel of this name.
    pub fn is_made_for(&self, kernel: &str) -> bool {
        self.kernels.iter().any(|start| kernel.starts_with(start))
    }

    /// The sample whose input of this name holds words below this.
    pub(in crate::nn) fn words(mut self, name: &'static str, below: usize) -> Sample {
        self.words.push((name, below as u32));
        self
    }

    /// The sample that trains only these parameters.
    pub(in crate::nn) fn training(self, trains: fn(&str) -> bool) -> Sample {
        Sample { trains, ..self }
    }

    /// The sample whose matrices are stored in bf16.
    pub(in crate::nn) fn in_bf16(self) -> Sample {
        Sample { is_bf16: true, ..self }
    }

    /// The sample whose values are stored so.
    pub(in crate::nn) fn stored_in(self, values: ValueStorage) -> Sample {
        Sample { name: format!("{}, values in {}", self.name, values.name()), values, ..self }
    }

    /// Examples, and rows of each.
    pub fn sizes(&self) -> [usize; 2] {
        [self.graph.examples, self.graph.context]
    }

    /// Its parameters.
    pub fn params(&self) -> Vec<Param> {
        self.graph.params()
    }

    /// Its buffers.
    pub fn buffers(&self) -> Vec<Param> {
        self.graph.buffers()
    }

    /// Its inputs by name, but for the position.
    pub fn inputs(&self) -> Vec<(&'static str, Input)> {
        let of = |value: Value| {
            let node = &self.graph.nodes[value];
            let Home::Input(name) = node.home else { return None };
            match node.form {
                Form::Rows { per_example, width } => {
                    Some((name, Input::Rows(per_example * self.graph.examples, width)))
                }
                Form::Records { .. } => {
                    let (_, below) = self.words.iter().find(|(known, _)| *known == name)?;
                    Some((name, Input::Words(node.bytes(self.graph.examples) as usize / 4, *below)))
                }
                _ => None,
            }
        };
        self.graph.nodes.all().filter_map(of).collect()
    }

    /// The pass over it, forward and backward.
    pub fn pass(&self) -> super::Pass {
        self.graph.clone().pass(self.logits, self.params(), self.trains).stored_in(self.values)
    }
}

impl Graph {
    /// The end of a network: a layer to so many classes, and its loss against `labels`.
    pub(in crate::nn) fn classified(&mut self, x: Value, classes: usize) -> Value {
        let logits = self.linear("last", x, classes);
        let labels = self.words("labels", self.form(x).rows());
        self.softmax_cross_entropy(logits, labels);
        logits
    }
}

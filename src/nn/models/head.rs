//! The head on the trunk of a transformer: from the vector of a sequence to its outputs.

use super::pair;
use super::sizes::check_size;
use crate::nn::graph::{Graph, Value};
use crate::nn::{Activation, Error, Objective};
use crate::params::Param;
use crate::setters::setters;

/// The vector of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// The first token, through a dense layer and tanh, as BERT was pretrained.
    Pooler,
    /// The mean over the tokens that are not padding.
    Mean,
    /// The first token.
    First,
    /// The last token that is not a padding.
    Last,
}

impl Pooling {
    /// Each by its word in a run file.
    pub const ALL: [(&'static str, Pooling); 4] =
        [("mean", Pooling::Mean), ("pooler", Pooling::Pooler), ("first", Pooling::First), ("last", Pooling::Last)];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Pooling::ALL.iter().find(|(_, pooling)| *pooling == self).map_or("", |(word, _)| word)
    }
}

/// Layers from the vector of a sequence, and its features, to the outputs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Head {
    /// Classes, labels or numbers that it gives.
    pub outputs: usize,
    /// What these are.
    pub objective: Objective,
    /// Sizes of hidden layers, each with a ReLU after it.
    pub hidden: Vec<usize>,
    /// Numbers beside the text. They are joined to its vector.
    pub features: usize,
    /// Dropout before each layer; the trunk's if it is `None`.
    pub dropout: Option<f32>,
}

/// The names of the last layer, and those of the hidden ones begin with this.
const HIDDEN: &str = "head";

impl Head {
    /// One layer to so many classes.
    pub fn new(outputs: usize) -> Head {
        Head { outputs, objective: Objective::Classes, hidden: Vec::new(), features: 0, dropout: None }
    }

    setters! {
        outputs: usize,
        objective: Objective,
        hidden: Vec<usize>,
        features: usize,
        dropout: Option<f32>,
    }

    /// Whether it is one layer on only the pooled row.
    pub(super) fn is_plain(&self) -> bool {
        self.hidden.is_empty() && self.features == 0
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        check_size("classes", self.outputs, 1)?;
        check_size("features", self.features, 0)?;
        self.hidden.iter().try_for_each(|size| check_size("head.hidden", *size, 1))?;
        match self.dropout {
            Some(share) if !(0.0..1.0).contains(&share) => {
                Err(Error::BadConfig { setting: "head.dropout", value: share.into(), allowed: "in [0, 1)" })
            }
            _ => Ok(()),
        }
    }

    /// What it computes, apart from the shapes of its parameters.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = Vec::new();
        if self.objective != Objective::Classes {
            settings.push(("objective", format!("{:?}", self.objective)));
        }
        if let Some(share) = self.dropout {
            settings.push(("head_dropout", share.to_string()));
        }
        settings
    }

    /// Its parameters, on a row of so many numbers; the last layer is called `last`.
    pub(super) fn params(&self, params: &mut Vec<Param>, width: usize, last: &str) {
        let mut inputs = width + self.features;
        for (place, size) in self.hidden.iter().enumerate() {
            pair(params, &format!("{HIDDEN}.{place}"), &[*size, inputs]);
            inputs = *size;
        }
        pair(params, last, &[self.outputs, inputs]);
    }

    /// The outputs. `trunk` is the trunk's dropout, `stream` the first of dropout's streams that is free.
    pub(super) fn forward(&self, graph: &mut Graph, pooled: Value, (trunk, stream): (f32, u32), last: &str) -> Value {
        let share = self.dropout.unwrap_or(trunk);
        let mut x = pooled;
        if self.features > 0 {
            let features = graph.rows("features", 1, self.features);
            x = graph.join(x, features);
        }
        let mut streams = stream..;
        let mut dropped = |graph: &mut Graph, x| graph.dropout_on_top(x, share, streams.next().unwrap_or(stream));
        for (place, size) in self.hidden.iter().enumerate() {
            let name = format!("{HIDDEN}.{place}");
            x = dropped(graph, x);
            x = graph.linear(&name, x, *size);
            x = graph.activate(&name, Activation::Relu, x);
        }
        x = dropped(graph, x);
        graph.linear(last, x, self.outputs)
    }
}

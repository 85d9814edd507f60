//! The head on the trunk of a transformer: from the vector of a sequence to its outputs.

use super::pair;
use super::sizes::check_size;
use crate::nn::graph::{self, Graph};
use crate::nn::ops::Norm;
use crate::nn::{Activation, Error, Objective, init};
use crate::params::Param;
use crate::setters::setters;
use serde_json::{Value, json};

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

/// What normalizes the numbers of a hidden layer, before its activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadNorm {
    /// Nothing.
    #[default]
    None,
    /// A batch norm, as torch's.
    Batch,
    /// A ghost batch norm (Hoffer et al. 2017): a batch norm of each part of the batch, of at most so many rows.
    Ghost {
        /// The most rows of a part.
        rows: usize,
    },
    /// A layer norm, as torch's.
    Layer,
}

impl HeadNorm {
    /// The words for them in a run file.
    pub const WORDS: [&'static str; 4] = ["none", "batch", "ghost", "layer"];

    /// The norm with this word; a ghost batch norm has parts of so many rows.
    pub fn called(word: &str, rows: usize) -> Option<HeadNorm> {
        let all = [HeadNorm::None, HeadNorm::Batch, HeadNorm::Ghost { rows }, HeadNorm::Layer];
        all.into_iter().find(|norm| norm.word() == word)
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            HeadNorm::None => "none",
            HeadNorm::Batch => "batch",
            HeadNorm::Ghost { .. } => "ghost",
            HeadNorm::Layer => "layer",
        }
    }

    /// The norm of a batch; `None` if it is none.
    fn of_batch(self) -> Option<Norm> {
        match self {
            HeadNorm::Batch => Some(Norm::new()),
            // As Ludwig's.
            HeadNorm::Ghost { rows } => Some(Norm::new().eps(1e-3).momentum(Some(0.05)).ghost(Some(rows))),
            HeadNorm::None | HeadNorm::Layer => None,
        }
    }

    /// The name of its module, below the hidden layer's.
    fn module(self) -> Option<&'static str> {
        match self {
            HeadNorm::None => None,
            HeadNorm::Batch | HeadNorm::Ghost { .. } => Some("bn"),
            HeadNorm::Layer => Some("LayerNorm"),
        }
    }
}

/// Layers from the vector of a text or a picture, and features beside it, to the outputs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Head {
    /// Classes, labels or numbers that it gives.
    pub outputs: usize,
    /// What these are.
    pub objective: Objective,
    /// Sizes of hidden layers, each with a ReLU after it.
    pub hidden: Vec<usize>,
    /// What normalizes each of them.
    pub norm: HeadNorm,
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
        Head {
            outputs,
            objective: Objective::Classes,
            hidden: Vec::new(),
            norm: HeadNorm::None,
            features: 0,
            dropout: None,
        }
    }

    setters! {
        outputs: usize,
        objective: Objective,
        hidden: Vec<usize>,
        norm: HeadNorm,
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
        if let HeadNorm::Ghost { rows } = self.norm {
            check_size("head.virtual_batch_size", rows, 1)?;
        }
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
        if self.norm != HeadNorm::None {
            settings.push(("head_norm", format!("{:?}", self.norm)));
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
            if let Some(norm) = self.norm.module() {
                pair(params, &format!("{HIDDEN}.{place}.{norm}"), &[*size]);
            }
            inputs = *size;
        }
        pair(params, last, &[self.outputs, inputs]);
    }

    /// Its buffers: running statistics of batch norms.
    pub(super) fn buffers(&self) -> Vec<Param> {
        let (Some(_), Some(module)) = (self.norm.of_batch(), self.norm.module()) else { return Vec::new() };
        let of_layer = |(place, size): (usize, &usize)| {
            let part = |part: &str, size| Param::new(format!("{HIDDEN}.{place}.{module}.{part}"), [size]);
            [part("running_mean", *size), part("running_var", *size), part("num_batches_tracked", 1)]
        };
        self.hidden.iter().enumerate().flat_map(of_layer).collect()
    }

    /// Whether a parameter of this name is the head's, whose last layer is called `last`.
    pub(super) fn has(&self, name: &str, last: &str) -> bool {
        [HIDDEN, last].iter().any(|module| name.strip_prefix(module).is_some_and(|rest| rest.starts_with('.')))
    }

    /// Initial values of a parameter of a head on a row of so many numbers, as `torch.nn.Linear` and torch's norms have them.
    pub(super) fn initial(&self, param: &Param, width: usize, (seed, place): (u32, u32)) -> Vec<f32> {
        let norm = self.norm.module();
        if norm.is_some_and(|norm| param.name.contains(&format!(".{norm}."))) {
            return vec![if param.name.ends_with(".weight") { 1.0 } else { 0.0 }; param.elements()];
        }
        let layer = param.name.strip_prefix(HIDDEN).and_then(|rest| rest.split('.').nth(1)?.parse().ok());
        // What a layer reads: the hidden layer before it, or the row.
        let before = layer.unwrap_or(self.hidden.len()).checked_sub(1);
        let inputs = before.and_then(|before| self.hidden.get(before).copied()).unwrap_or(width + self.features);
        init::uniform_within(1.0 / (inputs as f32).sqrt(), param.elements(), seed, place)
    }

    /// What the names of its hidden layers begin with.
    pub(super) fn on_top(&self) -> Option<String> {
        (!self.hidden.is_empty()).then(|| format!("{HIDDEN}."))
    }

    /// What a `config.json` says of it beside the outputs.
    pub(super) fn to_config(&self) -> Value {
        let mut own = json!({"head": self.hidden, "features": self.features});
        if self.norm != HeadNorm::None {
            own["head_norm"] = json!(self.norm.word());
        }
        if let HeadNorm::Ghost { rows } = self.norm {
            own["virtual_batch_size"] = json!(rows);
        }
        own
    }

    /// The outputs. `trunk` is the trunk's dropout, `stream` the first of dropout's streams that is free.
    pub(super) fn forward(
        &self,
        graph: &mut Graph,
        pooled: graph::Value,
        (trunk, stream): (f32, u32),
        last: &str,
    ) -> graph::Value {
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
            x = self.normed(graph, &name, x);
            x = graph.activate(&name, Activation::Relu, x);
        }
        x = dropped(graph, x);
        graph.linear(last, x, self.outputs)
    }

    /// The numbers of a hidden layer, normalized.
    fn normed(&self, graph: &mut Graph, layer: &str, x: graph::Value) -> graph::Value {
        let module = self.norm.module().map(|module| format!("{layer}.{module}"));
        match (module, self.norm.of_batch()) {
            (Some(module), Some(norm)) => graph.batch_norm(&module, x, norm),
            // As torch's.
            (Some(module), None) => graph.layer_norm(&module, x, 1e-5),
            (None, _) => x,
        }
    }
}

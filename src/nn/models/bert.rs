//! BERT, and similar encoders: RoBERTa and DistilBERT. An encoder attends in both directions with a padding mask, has
//! norms after each half of a block, and a head on top.

use super::head::{Head, Pooling};
use super::sizes::check_size;
use super::style::Style;
use super::{Network, TransformerSizes, pair};
use crate::nn::graph::{Graph, Value};
use crate::nn::ops::{Heads, Sight, Table};
use crate::nn::{Activation, Error, Objective};
use crate::params::Param;
use crate::setters::setters;

/// An encoder in BERT's shape, with Hugging Face's names.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Bert {
    /// Its sizes.
    pub sizes: TransformerSizes,
    /// Which of these encoders.
    pub style: Style,
    /// Token types, 0 for none.
    pub types: usize,
    /// The entry of the table of positions that the first token has: 2 in RoBERTa, whose padding has entry 1.
    pub first_position: usize,
    /// The vector of a sequence.
    pub pooling: Pooling,
    /// The head.
    pub head: Head,
}

const TOKENS: &str = "embeddings.word_embeddings.weight";
const POSITIONS: &str = "embeddings.position_embeddings.weight";
const TYPES: &str = "embeddings.token_type_embeddings.weight";

/// The layer that ends a head.
const CLASSIFIER: &str = "classifier";

impl Bert {
    /// An encoder of these sizes, with two token types and the mean over tokens below its classes.
    pub fn new(sizes: TransformerSizes, classes: usize) -> Bert {
        let (pooling, head) = (Pooling::Mean, Head::new(classes));
        Bert { sizes, style: Style::Bert, types: 2, first_position: 0, pooling, head }
    }

    setters! {
        sizes: TransformerSizes,
        style: Style,
        types: usize,
        first_position: usize,
        pooling: Pooling,
        head: Head,
    }

    /// An encoder by preset, with two token types and the mean over tokens below its classes: `tiny`, `small` or `base`
    /// (BERT's sizes), without dropout.
    ///
    /// # Errors
    /// [`Error::UnknownPreset`] naming the known ones.
    pub fn preset(preset: &str, vocab: usize, context: usize, classes: usize) -> Result<Bert, Error> {
        Ok(Bert::new(TransformerSizes::preset(preset, vocab, context, (Activation::Gelu, 1e-12))?, classes))
    }

    /// Whether its head is the one that transformers' class for classification has.
    pub(super) fn has_own_head(&self) -> bool {
        let own = if self.style == Style::Bert { Pooling::Pooler } else { Pooling::First };
        self.pooling == own && self.head.is_plain()
    }

    /// The dense layer between the vector of a sequence and the head, and the head's last layer.
    fn layers_on_top(&self) -> (Option<(&'static str, Activation)>, &'static str) {
        match self.style {
            _ if self.pooling == Pooling::Pooler => (Some(("pooler.dense", Activation::Tanh)), CLASSIFIER),
            Style::Roberta if self.has_own_head() => {
                (Some(("classifier.dense", Activation::Tanh)), "classifier.out_proj")
            }
            Style::DistilBert if self.has_own_head() => (Some(("pre_classifier", Activation::Relu)), CLASSIFIER),
            _ => (None, CLASSIFIER),
        }
    }

    /// From the rows of tokens to the outputs.
    fn outputs(&self, graph: &mut Graph, x: Value, mask: Value) -> Value {
        let TransformerSizes { layers, hidden, dropout, .. } = self.sizes;
        // Streams of dropout: 0 for the embeddings, two a block, and the rest for what is on top.
        let mut stream = 1 + 2 * layers as u32;
        let mut pooled = match self.pooling {
            Pooling::Mean => graph.mean_pool(x, mask),
            Pooling::Last => graph.last_token(x, mask),
            Pooling::First | Pooling::Pooler => graph.first_token(x),
        };
        let (dense, last) = self.layers_on_top();
        if let Some((name, activation)) = dense {
            if self.style == Style::Roberta && self.has_own_head() {
                pooled = graph.dropout_on_top(pooled, self.head.dropout.unwrap_or(dropout), stream);
                stream += 1;
            }
            let z = graph.linear(name, pooled, hidden);
            pooled = graph.activate(name, activation, z);
        }
        self.head.forward(graph, pooled, (dropout, stream), last)
    }

    fn block(&self, layer: usize, name: &str) -> String {
        format!("{}.{layer}.{name}", self.style.names().blocks)
    }
}

impl Network for Bert {
    fn check(&self) -> Result<(), Error> {
        self.sizes.check()?;
        self.head.check()?;
        check_size("types", self.types, 0)?;
        if self.sizes.context.saturating_add(self.first_position) > self.sizes.positions {
            let allowed = "at most the entries of the table of positions from the first token's on";
            return Err(Error::BadConfig { setting: "context", value: self.sizes.context as f64, allowed });
        }
        Ok(())
    }

    fn params(&self) -> Vec<Param> {
        let TransformerSizes { layers, hidden, intermediate, vocab, positions, .. } = self.sizes;
        let names = self.style.names();
        let mut params = vec![Param::new(TOKENS, [vocab, hidden]), Param::new(POSITIONS, [positions, hidden])];
        if self.types > 0 {
            params.push(Param::new(TYPES, [self.types, hidden]));
        }
        pair(&mut params, "embeddings.LayerNorm", &[hidden]);
        for layer in 0..layers {
            let mut add = |name, shape: &[usize]| pair(&mut params, &self.block(layer, name), shape);
            names.projections.into_iter().for_each(|name| add(name, &[hidden, hidden]));
            add(names.attended, &[hidden, hidden]);
            add(names.attended_norm, &[hidden]);
            add(names.up, &[intermediate, hidden]);
            add(names.down, &[hidden, intermediate]);
            add(names.norm, &[hidden]);
        }
        let (dense, last) = self.layers_on_top();
        if let Some((name, _)) = dense {
            pair(&mut params, name, &[hidden, hidden]);
        }
        self.head.params(&mut params, hidden, last);
        params
    }

    fn buffers(&self) -> Vec<Param> {
        self.head.buffers()
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let pooling = [("pooling", format!("{:?}", self.pooling))];
        pooling.into_iter().chain(self.sizes.settings()).chain(self.head.settings()).collect()
    }

    fn initial_of(&self, param: &Param, seed: u32, place: u32) -> Vec<f32> {
        self.sizes.initial(param, seed, place, 1.0)
    }

    fn context(&self) -> usize {
        self.sizes.context
    }

    fn widest(&self) -> usize {
        self.sizes.widest(self.head.outputs)
    }

    fn objective(&self) -> Objective {
        self.head.objective
    }

    fn sizes(&self) -> Option<&TransformerSizes> {
        Some(&self.sizes)
    }

    fn types(&self) -> usize {
        self.types
    }

    fn outputs(&self) -> usize {
        self.head.outputs
    }

    fn last_layer(&self) -> Vec<String> {
        vec![format!("{}.", self.layers_on_top().1)]
    }

    fn on_top(&self) -> Vec<String> {
        let dense = self.layers_on_top().0.map(|(name, _)| format!("{name}."));
        dense.into_iter().chain(self.head.on_top()).collect()
    }

    // x = norm(x + attention(x)); x = norm(x + feed_forward(x)) (Vaswani et al. 2017, Devlin et al. 2019).
    fn forward(&self, graph: &mut Graph) -> Value {
        let TransformerSizes { layers, heads, hidden, intermediate, vocab, positions, .. } = self.sizes;
        let TransformerSizes { activation, norm_eps, dropout, attention_dropout, .. } = self.sizes;
        let (length, names) = (graph.context, self.style.names());
        let (tokens, mask) = (graph.words("tokens", length), graph.words("mask", length));
        let tables = [Table::new(TOKENS, vocab), Table::new(POSITIONS, positions).from(self.first_position)];
        let types = (self.types > 0).then(|| (graph.words("types", length), Table::new(TYPES, self.types)));
        let embedded = graph.embedding(tokens, tables, types, hidden);
        let mut x = graph.layer_norm("embeddings.LayerNorm", embedded, norm_eps);
        x = graph.dropout(x, dropout, 0);
        for (layer, number) in (0..layers).zip(0..) {
            let at = |name: &str| self.block(layer, name);
            let heads = Heads { count: heads, sight: Sight::Both, dropout: attention_dropout, stream: number };
            let qkv = graph.linear_planes(&at(names.qkv), &names.projections.map(at), x, hidden, true);
            let attended = graph.attention(&at("attention"), qkv, mask, heads);
            let attended = graph.linear(&at(names.attended), attended, hidden);
            let attended = graph.dropout(attended, dropout, 1 + 2 * number);
            let sum = graph.add(attended, x);
            x = graph.layer_norm(&at(names.attended_norm), sum, norm_eps);
            let inner = graph.linear(&at(names.up), x, intermediate);
            let inner = graph.activate(&at(names.up), activation, inner);
            let outer = graph.linear(&at(names.down), inner, hidden);
            let outer = graph.dropout(outer, dropout, 2 + 2 * number);
            let sum = graph.add(outer, x);
            x = graph.layer_norm(&at(names.norm), sum, norm_eps);
        }
        self.outputs(graph, x, mask)
    }

    fn unused(&self) -> &'static [&'static str] {
        self.style.names().unused
    }

    fn name_in_class(&self, name: &str) -> String {
        let is_on_top = ["classifier.", "pre_classifier.", "head."].iter().any(|start| name.starts_with(start));
        if is_on_top { name.to_owned() } else { format!("{}.{name}", self.style.names().base) }
    }
}

//! BERT: an encoder. It looks both ways past a padding mask, has norms behind each half of a block, and classes on top.

use super::sizes::check_size;
use super::{Network, TransformerSizes, pair};
use crate::nn::graph::{Graph, Value};
use crate::nn::ops::{Heads, Sight, Table};
use crate::nn::{Activation, Error};
use crate::params::Param;
use crate::setters::setters;

/// An encoder in BERT's shape, with Hugging Face's names.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Bert {
    /// Its sizes.
    pub sizes: TransformerSizes,
    /// Token types, 0 for none.
    pub types: usize,
    /// Classes of the head.
    pub classes: usize,
    /// What stands for a sequence.
    pub pooling: Pooling,
}

/// What stands for a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// The first token, through a dense layer and tanh, as in BERT.
    First,
    /// The mean over the tokens that are no padding.
    Mean,
}

const TOKENS: &str = "embeddings.word_embeddings.weight";
const POSITIONS: &str = "embeddings.position_embeddings.weight";
const TYPES: &str = "embeddings.token_type_embeddings.weight";

impl Bert {
    /// An encoder of these sizes, with two token types and the mean over tokens below its classes.
    pub fn new(sizes: TransformerSizes, classes: usize) -> Bert {
        Bert { sizes, types: 2, classes, pooling: Pooling::Mean }
    }

    setters! {
        sizes: TransformerSizes,
        types: usize,
        classes: usize,
        pooling: Pooling,
    }

    /// An encoder by preset, with two token types and the mean over tokens below its classes: `tiny`, `small` or `base`
    /// (BERT's sizes), without dropout.
    ///
    /// # Errors
    /// [`Error::UnknownPreset`] naming those that there are.
    pub fn preset(preset: &str, vocab: usize, context: usize, classes: usize) -> Result<Bert, Error> {
        let sizes = TransformerSizes::preset(preset, vocab, context, (Activation::Gelu, 1e-12))?;
        Ok(Bert { sizes, types: 2, classes, pooling: Pooling::Mean })
    }
}

impl Network for Bert {
    fn check(&self) -> Result<(), Error> {
        self.sizes.check()?;
        check_size("classes", self.classes, 1)?;
        check_size("types", self.types, 0)
    }

    fn params(&self) -> Vec<Param> {
        let TransformerSizes { layers, hidden, intermediate, vocab, context, .. } = self.sizes;
        let mut params = vec![Param::new(TOKENS, [vocab, hidden]), Param::new(POSITIONS, [context, hidden])];
        if self.types > 0 {
            params.push(Param::new(TYPES, [self.types, hidden]));
        }
        pair(&mut params, "embeddings.LayerNorm", &[hidden]);
        for layer in 0..layers {
            let mut add = |name, shape: &[usize]| pair(&mut params, &block(layer, name), shape);
            add("attention.self.query", &[hidden, hidden]);
            add("attention.self.key", &[hidden, hidden]);
            add("attention.self.value", &[hidden, hidden]);
            add("attention.output.dense", &[hidden, hidden]);
            add("attention.output.LayerNorm", &[hidden]);
            add("intermediate.dense", &[intermediate, hidden]);
            add("output.dense", &[hidden, intermediate]);
            add("output.LayerNorm", &[hidden]);
        }
        if self.pooling == Pooling::First {
            pair(&mut params, "pooler.dense", &[hidden, hidden]);
        }
        pair(&mut params, "classifier", &[self.classes, hidden]);
        params
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        [("pooling", format!("{:?}", self.pooling))].into_iter().chain(self.sizes.settings()).collect()
    }

    fn initial_of(&self, param: &Param, seed: u32, place: u32) -> Vec<f32> {
        self.sizes.initial(param, seed, place, 1.0)
    }

    fn context(&self) -> usize {
        self.sizes.context
    }

    fn widest(&self) -> usize {
        self.sizes.widest(self.classes)
    }

    // x = norm(x + attention(x)); x = norm(x + feed_forward(x)) (Vaswani et al. 2017, Devlin et al. 2019).
    fn forward(&self, graph: &mut Graph) -> [Value; 2] {
        let TransformerSizes { layers, heads, hidden, intermediate, vocab, context, activation, norm_eps, dropout } =
            self.sizes;
        let length = graph.context;
        let (tokens, mask) = (graph.words("tokens", length), graph.words("mask", length));
        let tables = [Table::new(TOKENS, vocab), Table::new(POSITIONS, context)];
        let types = (self.types > 0).then(|| (graph.words("types", length), Table::new(TYPES, self.types)));
        let embedded = graph.embedding(tokens, tables, types, hidden);
        let mut x = graph.layer_norm("embeddings.LayerNorm", embedded, norm_eps);
        x = graph.dropout(x, dropout, 0);
        for (layer, number) in (0..layers).zip(0..) {
            let at = |name: &str| block(layer, name);
            let heads = Heads { count: heads, sight: Sight::Both, dropout, stream: number };
            let modules = ["query", "key", "value"].map(|name| at(&format!("attention.self.{name}")));
            let qkv = graph.linear_planes(&at("attention.self.qkv"), &modules, x, hidden);
            let attended = graph.attention(&at("attention"), qkv, mask, heads);
            let attended = graph.linear(&at("attention.output.dense"), attended, hidden);
            let attended = graph.dropout(attended, dropout, 1 + 2 * number);
            let sum = graph.add(attended, x);
            x = graph.layer_norm(&at("attention.output.LayerNorm"), sum, norm_eps);
            let inner = graph.linear(&at("intermediate.dense"), x, intermediate);
            let inner = graph.activate(&at("intermediate.dense"), activation, inner);
            let outer = graph.linear(&at("output.dense"), inner, hidden);
            let outer = graph.dropout(outer, dropout, 2 + 2 * number);
            let sum = graph.add(outer, x);
            x = graph.layer_norm(&at("output.LayerNorm"), sum, norm_eps);
        }
        let mut pooled = match self.pooling {
            Pooling::Mean => graph.mean_pool(x, mask),
            Pooling::First => {
                let first = graph.first_token(x);
                let z = graph.linear("pooler.dense", first, hidden);
                graph.activate("pooler.dense", Activation::Tanh, z)
            }
        };
        pooled = graph.dropout(pooled, dropout, 1 + 2 * layers as u32);
        let logits = graph.linear("classifier", pooled, self.classes);
        [logits, graph.words("labels", 1)]
    }

    /// The head that BERT was pretrained with.
    fn unused(&self) -> &'static [&'static str] {
        &["cls."]
    }
}

fn block(layer: usize, name: &str) -> String {
    format!("encoder.layer.{layer}.{name}")
}

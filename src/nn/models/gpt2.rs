//! GPT-2: a decoder. Causal, norms before each half of a block, a vocabulary on top.

use super::{Network, TransformerSizes, pair};
use crate::nn::graph::{Graph, Value};
use crate::nn::ops::{Heads, Sight, Table};
use crate::nn::{Activation, Error};
use crate::params::Param;
use crate::setters::setters;

/// A decoder in GPT-2's shape, with Hugging Face's names.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Gpt2 {
    /// Its sizes.
    pub sizes: TransformerSizes,
    /// Whether the output layer is the token table.
    pub tied: bool,
}

const TOKENS: &str = "transformer.wte.weight";
const POSITIONS: &str = "transformer.wpe.weight";
const HEAD: &str = "lm_head.weight";

impl Gpt2 {
    /// A decoder of these sizes, tied.
    pub fn new(sizes: TransformerSizes) -> Gpt2 {
        Gpt2 { sizes, tied: true }
    }

    setters! {
        sizes: TransformerSizes,
        tied: bool,
    }

    /// A decoder by preset: `tiny`, `small` or `base` (GPT-2's sizes), tied, without dropout.
    ///
    /// # Errors
    /// [`Error::UnknownPreset`] naming those that there are.
    pub fn preset(preset: &str, vocab: usize, context: usize) -> Result<Gpt2, Error> {
        let sizes = TransformerSizes::preset(preset, vocab, context, (Activation::GeluNew, 1e-5))?;
        Ok(Gpt2 { sizes, tied: true })
    }
}

impl Network for Gpt2 {
    fn check(&self) -> Result<(), Error> {
        self.sizes.check()
    }

    fn params(&self) -> Vec<Param> {
        let TransformerSizes { layers, hidden, intermediate, vocab, context, .. } = self.sizes;
        let mut params = vec![Param::new(TOKENS, [vocab, hidden]), Param::new(POSITIONS, [context, hidden])];
        for layer in 0..layers {
            let mut add = |name, shape: &[usize]| pair(&mut params, &block(layer, name), shape);
            add("ln_1", &[hidden]);
            add("attn.c_attn", &[3 * hidden, hidden]);
            add("attn.c_proj", &[hidden, hidden]);
            add("ln_2", &[hidden]);
            add("mlp.c_fc", &[intermediate, hidden]);
            add("mlp.c_proj", &[hidden, intermediate]);
        }
        pair(&mut params, "transformer.ln_f", &[hidden]);
        if !self.tied {
            params.push(Param::new(HEAD, [vocab, hidden]));
        }
        params
    }

    fn tied(&self) -> Vec<(String, String)> {
        if self.tied { vec![(HEAD.to_owned(), TOKENS.to_owned())] } else { Vec::new() }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        [("tied", self.tied.to_string())].into_iter().chain(self.sizes.settings()).collect()
    }

    /// What ends in the residual stream has a deviation smaller by √(2 · layers) (Radford et al. 2019).
    fn initial_of(&self, param: &Param, seed: u32, place: u32) -> Vec<f32> {
        let ends_in_residual = param.name.ends_with("c_proj.weight");
        let narrower = if ends_in_residual { (2.0 * self.sizes.layers as f32).sqrt() } else { 1.0 };
        self.sizes.initial(param, seed, place, narrower)
    }

    fn context(&self) -> usize {
        self.sizes.context
    }

    fn widest(&self) -> usize {
        self.sizes.widest(self.sizes.vocab)
    }

    // x += attention(norm(x)); x += feed_forward(norm(x)); one norm behind the last block (Radford et al. 2019).
    fn forward(&self, graph: &mut Graph) -> [Value; 2] {
        let TransformerSizes { layers, heads, hidden, intermediate, vocab, context, activation, norm_eps, dropout } =
            self.sizes;
        let length = graph.context;
        let (tokens, mask) = (graph.words("tokens", length), graph.words("mask", length));
        let tables = [Table::new(TOKENS, vocab), Table::new(POSITIONS, context)];
        let mut x = graph.embedding(tokens, tables, None, hidden);
        x = graph.dropout(x, dropout, 0);
        for (layer, number) in (0..layers).zip(0..) {
            let at = |name| block(layer, name);
            let heads = Heads { count: heads, sight: Sight::Causal, dropout, stream: number };
            let normed = graph.layer_norm(&at("ln_1"), x, norm_eps);
            let qkv = graph.linear(&at("attn.c_attn"), normed, 3 * hidden);
            let attended = graph.attention(&at("attn"), qkv, mask, heads);
            let attended = graph.linear(&at("attn.c_proj"), attended, hidden);
            let attended = graph.dropout(attended, dropout, 1 + 2 * number);
            x = graph.add(attended, x);
            let normed = graph.layer_norm(&at("ln_2"), x, norm_eps);
            let inner = graph.linear(&at("mlp.c_fc"), normed, intermediate);
            let inner = graph.activate(&at("mlp.c_fc"), activation, inner);
            let outer = graph.linear(&at("mlp.c_proj"), inner, hidden);
            let outer = graph.dropout(outer, dropout, 2 + 2 * number);
            x = graph.add(outer, x);
        }
        let normed = graph.layer_norm("transformer.ln_f", x, norm_eps);
        let logits = graph.product("logits", if self.tied { TOKENS } else { HEAD }, normed, vocab);
        [logits, graph.words("labels", length)]
    }

    /// GPT-2's blocks are made of Conv1D.
    fn is_transposed(&self, name: &str) -> bool {
        ["c_attn.weight", "c_proj.weight", "c_fc.weight"].iter().any(|end| name.ends_with(end))
    }
}

fn block(layer: usize, name: &str) -> String {
    format!("transformer.h.{layer}.{name}")
}

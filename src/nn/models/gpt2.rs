//! GPT-2: a decoder. Causal, norms before each half of a block, and a vocabulary on top, or a head on one token.

use super::head::{Head, Pooling};
use super::{Model, Network, TransformerSizes, pair};
use crate::nn::graph::{Graph, Value};
use crate::nn::ops::{Heads, Sight, Table};
use crate::nn::{Activation, Error, Objective};
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
    /// The vector of a sequence, and its head; `None`: the next token is predicted.
    pub head: Option<(Pooling, Head)>,
}

const TOKENS: &str = "transformer.wte.weight";
const POSITIONS: &str = "transformer.wpe.weight";
const VOCABULARY: &str = "lm_head.weight";

/// The layer that ends a head as transformers has it, without a bias; and any other.
const SCORE: &str = "score.weight";
const CLASSIFIER: &str = "classifier";

impl Gpt2 {
    /// A decoder of these sizes, tied.
    pub fn new(sizes: TransformerSizes) -> Gpt2 {
        Gpt2 { sizes, tied: true, head: None }
    }

    setters! {
        sizes: TransformerSizes,
        tied: bool,
        head: Option<(Pooling, Head)>,
    }

    /// A decoder by preset: `tiny`, `small` or `base` (GPT-2's sizes), tied, without dropout.
    ///
    /// # Errors
    /// [`Error::UnknownPreset`] naming the known ones.
    pub fn preset(preset: &str, vocab: usize, context: usize) -> Result<Gpt2, Error> {
        Ok(Gpt2::new(TransformerSizes::preset(preset, vocab, context, (Activation::GeluNew, 1e-5))?))
    }

    /// Whether its head is the one that transformers' class for classification has.
    pub(super) fn has_own_head(&self) -> bool {
        self.head.as_ref().is_none_or(|(pooling, head)| *pooling == Pooling::Last && head.is_plain())
    }
}

impl Network for Gpt2 {
    fn check(&self) -> Result<(), Error> {
        self.sizes.check()?;
        match &self.head {
            Some((Pooling::Pooler, _)) => {
                let (value, allowed) =
                    (Pooling::Pooler.word().to_owned(), "mean, first or last: a decoder has no pooler");
                Err(Error::BadSetting { setting: "pooling", value, allowed: allowed.to_owned() })
            }
            Some((_, head)) => head.check(),
            None => Ok(()),
        }
    }

    fn params(&self) -> Vec<Param> {
        let TransformerSizes { layers, hidden, intermediate, vocab, positions, .. } = self.sizes;
        let mut params = vec![Param::new(TOKENS, [vocab, hidden]), Param::new(POSITIONS, [positions, hidden])];
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
        match &self.head {
            Some((_, head)) if self.has_own_head() => params.push(Param::new(SCORE, [head.outputs, hidden])),
            Some((_, head)) => head.params(&mut params, hidden, CLASSIFIER),
            None if !self.tied => params.push(Param::new(VOCABULARY, [vocab, hidden])),
            None => {}
        }
        params
    }

    fn buffers(&self) -> Vec<Param> {
        self.head.as_ref().map_or_else(Vec::new, |(_, head)| head.buffers())
    }

    fn tied(&self) -> Vec<(String, String)> {
        match self.tied && self.head.is_none() {
            true => vec![(VOCABULARY.to_owned(), TOKENS.to_owned())],
            false => Vec::new(),
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let of_head = match &self.head {
            Some((pooling, head)) => [vec![("pooling", format!("{pooling:?}"))], head.settings()].concat(),
            None => vec![("tied", self.tied.to_string())],
        };
        of_head.into_iter().chain(self.sizes.settings()).collect()
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
        self.sizes.widest(self.head.as_ref().map_or(self.sizes.vocab, |(_, head)| head.outputs))
    }

    fn objective(&self) -> Objective {
        self.head.as_ref().map_or(Objective::Classes, |(_, head)| head.objective)
    }

    fn sizes(&self) -> Option<&TransformerSizes> {
        Some(&self.sizes)
    }

    fn outputs(&self) -> usize {
        self.head.as_ref().map_or(self.sizes.vocab, |(_, head)| head.outputs)
    }

    /// The output layer becomes a head on the last token: a vocabulary is wide, and no other row of it is looked at.
    fn next_token(&self) -> Option<(Model, (String, String))> {
        let table = if self.tied { TOKENS } else { VOCABULARY };
        let head = Some((Pooling::Last, Head::new(self.sizes.vocab)));
        let model = Gpt2 { sizes: self.sizes.clone(), tied: self.tied, head };
        self.head.is_none().then(|| (model.into(), (SCORE.to_owned(), table.to_owned())))
    }

    fn last_layer(&self) -> Vec<String> {
        match &self.head {
            Some(_) if self.has_own_head() => vec![SCORE.to_owned()],
            Some(_) => vec![format!("{CLASSIFIER}.")],
            None if !self.tied => vec![VOCABULARY.to_owned()],
            None => Vec::new(),
        }
    }

    fn on_top(&self) -> Vec<String> {
        self.head.as_ref().and_then(|(_, head)| head.on_top()).into_iter().collect()
    }

    // x += attention(norm(x)); x += feed_forward(norm(x)); one norm after the last block (Radford et al. 2019).
    fn forward(&self, graph: &mut Graph) -> Value {
        let TransformerSizes { layers, heads, hidden, intermediate, vocab, positions, .. } = self.sizes;
        let TransformerSizes { activation, norm_eps, dropout, attention_dropout, .. } = self.sizes;
        let length = graph.context;
        let (tokens, mask) = (graph.words("tokens", length), graph.words("mask", length));
        let tables = [Table::new(TOKENS, vocab), Table::new(POSITIONS, positions)];
        let mut x = graph.embedding(tokens, tables, None, hidden);
        x = graph.dropout(x, dropout, 0);
        for (layer, number) in (0..layers).zip(0..) {
            let at = |name| block(layer, name);
            let heads = Heads { count: heads, sight: Sight::Causal, dropout: attention_dropout, stream: number };
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
        let Some((pooling, head)) = &self.head else {
            return graph.product("logits", if self.tied { TOKENS } else { VOCABULARY }, normed, vocab);
        };
        let pooled = match pooling {
            Pooling::Mean => graph.mean_pool(normed, mask),
            Pooling::First | Pooling::Pooler => graph.first_token(normed),
            Pooling::Last => graph.last_token(normed, mask),
        };
        match self.has_own_head() {
            true => graph.product("logits", SCORE, pooled, head.outputs),
            false => head.forward(graph, pooled, (dropout, 1 + 2 * layers as u32), CLASSIFIER),
        }
    }

    fn unused(&self) -> &'static [&'static str] {
        if self.head.is_some() { &[VOCABULARY] } else { &[SCORE] }
    }

    /// GPT-2's blocks are made of Conv1D.
    fn is_transposed(&self, name: &str) -> bool {
        ["c_attn.weight", "c_proj.weight", "c_fc.weight"].iter().any(|end| name.ends_with(end))
    }
}

fn block(layer: usize, name: &str) -> String {
    format!("transformer.h.{layer}.{name}")
}

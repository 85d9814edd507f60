//! What a transformer is made of: its sizes, its kind, and the names of its parameters.

use crate::nn::{Activation, Error};
use crate::params::Param;

/// Which way the blocks look, and what stands on top of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Causal, norms before each half of a block, a vocabulary on top: GPT-2. The output is the token table again
    /// where it is `tied`.
    Decoder {
        /// Whether the output layer is the token table.
        tied: bool,
    },
    /// Looks both ways past a padding mask, norms behind each half of a block, classes on top: BERT.
    Encoder {
        /// Token types, 0 for none.
        types: usize,
        /// Classes of the head.
        classes: usize,
        /// What stands for a sequence.
        pooling: Pooling,
    },
}

/// What stands for a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The first token, through a dense layer and tanh, as in BERT.
    First,
    /// The mean over the tokens that are no padding.
    Mean,
}

/// Sizes of a transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Decoder or encoder.
    pub kind: Kind,
    /// Blocks.
    pub layers: usize,
    /// Heads of the attention; they divide `hidden` into multiples of 4.
    pub heads: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width inside the feed-forward half of a block.
    pub intermediate: usize,
    /// Tokens that there are.
    pub vocab: usize,
    /// Longest sequence.
    pub context: usize,
    /// The feed-forward activation.
    pub activation: Activation,
    /// Added to the variance of a layer norm.
    pub norm_eps: f32,
    /// Share of activations that dropout zeroes in training; 0 for none.
    pub dropout: f32,
}

/// Sizes of the presets: layers, heads, hidden.
const PRESETS: [(&str, [usize; 3]); 3] = [("tiny", [3, 3, 96]), ("small", [6, 6, 384]), ("base", [12, 12, 768])];

impl Config {
    /// What a pass computes beside the shapes of its parameters: names and values.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let of_kind = match self.kind {
            Kind::Decoder { tied } => ("tied", tied.to_string()),
            Kind::Encoder { pooling, .. } => ("pooling", format!("{pooling:?}")),
        };
        vec![
            of_kind,
            ("heads", self.heads.to_string()),
            ("context", self.context.to_string()),
            ("activation", format!("{:?}", self.activation)),
            ("dropout", self.dropout.to_string()),
            ("norm_eps", self.norm_eps.to_string()),
        ]
    }

    /// A decoder by preset: `tiny` (0.3 M parameters in its blocks), `small` (10 M) or `base` (85 M, GPT-2's sizes).
    ///
    /// # Errors
    /// [`Error::UnknownPreset`] naming those that there are.
    pub fn decoder(preset: &str, vocab: usize, context: usize) -> Result<Config, Error> {
        let known = PRESETS.iter().find(|(name, _)| *name == preset);
        let (_, [layers, heads, hidden]) = known.ok_or_else(|| Error::UnknownPreset { name: preset.to_owned() })?;
        Ok(Config {
            kind: Kind::Decoder { tied: true },
            layers: *layers,
            heads: *heads,
            hidden: *hidden,
            intermediate: 4 * hidden,
            vocab,
            context,
            activation: Activation::GeluNew,
            norm_eps: 1e-5,
            dropout: 0.0,
        })
    }

    /// An encoder by preset, with BERT's activation, two token types and the mean over tokens below its classes: `tiny`,
    /// `small` or `base` (85 M parameters in its blocks, BERT's sizes).
    ///
    /// # Errors
    /// [`Error::UnknownPreset`] naming those that there are.
    pub fn encoder(preset: &str, vocab: usize, context: usize, classes: usize) -> Result<Config, Error> {
        Ok(Config {
            kind: Kind::Encoder { types: 2, classes, pooling: Pooling::Mean },
            activation: Activation::Gelu,
            norm_eps: 1e-12,
            ..Config::decoder(preset, vocab, context)?
        })
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// [`Error::BadConfig`] with the setting, its value, and what it has to be.
    pub fn check(&self) -> Result<(), Error> {
        let bad = |setting, value: usize, allowed| Err(Error::BadConfig { setting, value: value as f64, allowed });
        let sizes = [
            ("layers", self.layers),
            ("heads", self.heads),
            ("hidden", self.hidden),
            ("intermediate", self.intermediate),
            ("vocab", self.vocab),
            ("context", self.context),
        ];
        if let Some((setting, value)) = sizes.into_iter().find(|(_, value)| *value == 0 || *value > 1 << 24) {
            return bad(setting, value, "from 1 to 2^24");
        }
        if !self.hidden.is_multiple_of(self.heads) || !(self.hidden / self.heads).is_multiple_of(4) {
            return bad("heads", self.heads, "a number that divides hidden into multiples of 4");
        }
        if self.hidden / self.heads > 128 {
            return bad("heads", self.heads, "so many that a head has at most 128 numbers");
        }
        if let Kind::Encoder { types, classes, .. } = self.kind {
            if classes == 0 || classes > 1 << 24 {
                return bad("classes", classes, "from 1 to 2^24");
            }
            if types > 1 << 24 {
                return bad("types", types, "from 0 to 2^24");
            }
        }
        if !self.norm_eps.is_finite() || self.norm_eps < 0.0 {
            let value = f64::from(self.norm_eps);
            return Err(Error::BadConfig { setting: "norm_eps", value, allowed: "finite and at least 0" });
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::BadConfig { setting: "dropout", value: f64::from(self.dropout), allowed: "in [0, 1)" });
        }
        Ok(())
    }

    /// Token types.
    pub fn types(&self) -> usize {
        match self.kind {
            Kind::Encoder { types, .. } => types,
            Kind::Decoder { .. } => 0,
        }
    }

    /// Numbers of a token where an activation is widest.
    pub(super) fn widest(&self) -> usize {
        let top = match self.kind {
            Kind::Decoder { .. } => self.vocab,
            Kind::Encoder { classes, .. } => classes,
        };
        (3 * self.hidden).max(self.intermediate).max(top).next_multiple_of(4)
    }

    /// Numbers of a head.
    pub fn head(&self) -> usize {
        self.hidden / self.heads
    }

    /// Names and shapes of the parameters: those of Hugging Face's GPT-2 and BERT, in the order of their modules. Every
    /// weight is `[outputs, inputs]`; GPT-2's files have four of a block's the other way round, see
    /// [`is_transposed`](Config::is_transposed).
    pub fn params(&self) -> Vec<Param> {
        match self.kind {
            Kind::Decoder { tied } => self.decoder_params(tied),
            Kind::Encoder { types, classes, pooling } => self.encoder_params(types, classes, pooling),
        }
    }

    fn decoder_params(&self, tied: bool) -> Vec<Param> {
        let (hidden, inner) = (self.hidden, self.intermediate);
        let mut params = vec![
            Param::new("transformer.wte.weight", [self.vocab, hidden]),
            Param::new("transformer.wpe.weight", [self.context, hidden]),
        ];
        for layer in 0..self.layers {
            let at = |name: &str| format!("transformer.h.{layer}.{name}");
            pair(&mut params, at("ln_1"), [hidden]);
            pair(&mut params, at("attn.c_attn"), [3 * hidden, hidden]);
            pair(&mut params, at("attn.c_proj"), [hidden, hidden]);
            pair(&mut params, at("ln_2"), [hidden]);
            pair(&mut params, at("mlp.c_fc"), [inner, hidden]);
            pair(&mut params, at("mlp.c_proj"), [hidden, inner]);
        }
        pair(&mut params, "transformer.ln_f".to_owned(), [hidden]);
        if !tied {
            params.push(Param::new("lm_head.weight", [self.vocab, hidden]));
        }
        params
    }

    fn encoder_params(&self, types: usize, classes: usize, pooling: Pooling) -> Vec<Param> {
        let (hidden, inner) = (self.hidden, self.intermediate);
        let mut params = vec![
            Param::new("embeddings.word_embeddings.weight", [self.vocab, hidden]),
            Param::new("embeddings.position_embeddings.weight", [self.context, hidden]),
        ];
        if types > 0 {
            params.push(Param::new("embeddings.token_type_embeddings.weight", [types, hidden]));
        }
        pair(&mut params, "embeddings.LayerNorm".to_owned(), [hidden]);
        for layer in 0..self.layers {
            let at = |name: &str| format!("encoder.layer.{layer}.{name}");
            for name in ["query", "key", "value"] {
                pair(&mut params, at(&format!("attention.self.{name}")), [hidden, hidden]);
            }
            pair(&mut params, at("attention.output.dense"), [hidden, hidden]);
            pair(&mut params, at("attention.output.LayerNorm"), [hidden]);
            pair(&mut params, at("intermediate.dense"), [inner, hidden]);
            pair(&mut params, at("output.dense"), [hidden, inner]);
            pair(&mut params, at("output.LayerNorm"), [hidden]);
        }
        if pooling == Pooling::First {
            pair(&mut params, "pooler.dense".to_owned(), [hidden, hidden]);
        }
        pair(&mut params, "classifier".to_owned(), [classes, hidden]);
        params
    }

    /// Whether files hold this parameter as `[inputs, outputs]`: GPT-2's blocks are made of Conv1D.
    pub fn is_transposed(&self, name: &str) -> bool {
        let conv = ["c_attn.weight", "c_proj.weight", "c_fc.weight"];
        matches!(self.kind, Kind::Decoder { .. }) && conv.iter().any(|end| name.ends_with(end))
    }

    /// Further names of parameters: the tied output layer.
    pub fn tied(&self) -> Vec<(String, String)> {
        match self.kind {
            Kind::Decoder { tied: true } => {
                vec![("lm_head.weight".to_owned(), "transformer.wte.weight".to_owned())]
            }
            _ => Vec::new(),
        }
    }
}

/// A weight of this shape, and a bias as long as its first side.
fn pair<const N: usize>(params: &mut Vec<Param>, name: String, shape: [usize; N]) {
    let bias = shape[0];
    params.push(Param::new(format!("{name}.weight"), shape));
    params.push(Param::new(format!("{name}.bias"), [bias]));
}

//! The forward pass of both kinds, step by step.

use super::config::{Config, Kind, Pooling};
use super::step::{After, Id, Layer, Norm, Step, Value, plane_bytes};
use crate::nn::Activation;
use crate::nn::ops::activation_bytes;

/// Values and the steps that make them, as they are written down.
pub(super) struct Recorder<'a> {
    pub(super) config: &'a Config,
    pub(super) batch: usize,
    pub(super) context: usize,
    pub(super) values: Vec<Value>,
    pub(super) steps: Vec<Step>,
    dropouts: u32,
    attentions: u32,
    pub(super) trains: bool,
}

impl<'a> Recorder<'a> {
    /// For batches of so many sequences of this length. Dropout is a part of training alone.
    pub(super) fn new(config: &'a Config, batch: usize, context: usize, trains: bool) -> Recorder<'a> {
        Recorder { config, batch, context, values: Vec::new(), steps: Vec::new(), dropouts: 0, attentions: 0, trains }
    }

    pub(super) fn rows(&self) -> usize {
        self.batch * self.context
    }

    pub(super) fn value(&mut self, label: impl Into<String>, bytes: u64) -> Id {
        self.values.push(Value { label: label.into(), bytes });
        self.values.len() - 1
    }

    fn activation(&mut self, label: impl Into<String>, width: usize) -> Id {
        let bytes = activation_bytes(self.rows(), width);
        self.value(label, bytes)
    }

    /// The whole pass; its logits.
    pub(super) fn forward(&mut self) -> Id {
        match self.config.kind {
            Kind::Decoder { tied } => self.decoder(tied),
            Kind::Encoder { types, pooling, classes } => self.encoder(types, pooling, classes),
        }
    }

    // x += attention(norm(x)); x += feed_forward(norm(x)); one norm behind the last block (Radford et al. 2019).
    fn decoder(&mut self, tied: bool) -> Id {
        let hidden = self.config.hidden;
        let tables = ["transformer.wte.weight", "transformer.wpe.weight"];
        let mut x = self.embed(&tables);
        x = self.dropout(x, hidden);
        for layer in 0..self.config.layers {
            let at = |name: &str| format!("transformer.h.{layer}.{name}");
            let normed = self.norm(at("ln_1"), x, None);
            let qkv = self.activation(at("attn.qkv"), 3 * hidden);
            let fused = self.layer(at("attn.c_attn"), hidden, 3 * hidden);
            self.steps.push(Step::Linear { layer: fused, x: normed, z: qkv, after: After::Nothing });
            let out = self.attention(at("attn"), qkv);
            x = self.residual(at("attn.c_proj"), out, hidden, x);
            let normed = self.norm(at("ln_2"), x, None);
            let h = self.activated(at("mlp.c_fc"), normed);
            x = self.residual(at("mlp.c_proj"), h, self.config.intermediate, x);
        }
        let normed = self.norm("transformer.ln_f".to_owned(), x, None);
        let weight = if tied { "transformer.wte.weight" } else { "lm_head.weight" };
        let (rows, outputs) = (self.rows(), self.config.vocab);
        let layer = Layer { weight: weight.to_owned(), bias: None, rows, inputs: hidden, outputs, plane: 0 };
        let logits = self.activation("logits", outputs);
        self.steps.push(Step::Linear { layer, x: normed, z: logits, after: After::Nothing });
        logits
    }

    // x = norm(x + attention(x)); x = norm(x + feed_forward(x)) (Vaswani et al. 2017, Devlin et al. 2019).
    fn encoder(&mut self, types: usize, pooling: Pooling, classes: usize) -> Id {
        let hidden = self.config.hidden;
        let names = ["word_embeddings", "position_embeddings", "token_type_embeddings"];
        let tables: Vec<String> = names.iter().map(|name| format!("embeddings.{name}.weight")).collect();
        let tables: Vec<&str> = tables.iter().map(String::as_str).take(2 + usize::from(types > 0)).collect();
        let embedded = self.embed(&tables);
        let normed = self.norm("embeddings.LayerNorm".to_owned(), embedded, None);
        let mut x = self.dropout(normed, hidden);
        for layer in 0..self.config.layers {
            let at = |name: &str| format!("encoder.layer.{layer}.{name}");
            let planes = 3 * plane_bytes(self.rows(), hidden);
            let qkv = self.value(at("attention.self.qkv"), planes);
            for (plane, name) in ["query", "key", "value"].into_iter().enumerate() {
                let layer = Layer { plane, ..self.layer(at(&format!("attention.self.{name}")), hidden, hidden) };
                self.steps.push(Step::Linear { layer, x, z: qkv, after: After::Nothing });
            }
            let out = self.attention(at("attention"), qkv);
            let sum = self.residual(at("attention.output.dense"), out, hidden, x);
            x = self.norm(at("attention.output.LayerNorm"), sum, None);
            let h = self.activated(at("intermediate.dense"), x);
            let sum = self.residual(at("output.dense"), h, self.config.intermediate, x);
            x = self.norm(at("output.LayerNorm"), sum, None);
        }
        let pooled = self.pooled(x, pooling);
        let (rows, outputs) = (self.batch, classes);
        let layer = Layer { rows, ..self.layer("classifier".to_owned(), hidden, outputs) };
        let logits = self.value("logits", activation_bytes(rows, outputs));
        self.steps.push(Step::Linear { layer, x: pooled, z: logits, after: After::Nothing });
        logits
    }

    fn pooled(&mut self, x: Id, pooling: Pooling) -> Id {
        let (rows, hidden) = (self.batch, self.config.hidden);
        let bytes = activation_bytes(rows, hidden);
        let y = self.value("pooled", bytes);
        self.steps.push(Step::Pool { x, y });
        if pooling == Pooling::Mean {
            return self.dropout_of(y, None, rows, hidden);
        }
        let (z, h) = (self.value("pooler.z", bytes), self.value("pooler.h", bytes));
        let layer = Layer { rows, ..self.layer("pooler.dense".to_owned(), hidden, hidden) };
        self.steps.push(Step::Linear { layer, x: y, z, after: After::Activation(Activation::Tanh, h) });
        self.dropout_of(h, None, rows, hidden)
    }

    // ---- parts ----

    fn embed(&mut self, tables: &[&str]) -> Id {
        let y = self.activation("embedded", self.config.hidden);
        self.steps.push(Step::Embed { tables: tables.iter().map(|&table| table.to_owned()).collect(), y });
        y
    }

    fn norm(&mut self, module: String, x: Id, residual: Option<Id>) -> Id {
        let (rows, hidden) = (self.rows(), self.config.hidden);
        let y = self.activation(format!("{module}.y"), hidden);
        let moments = self.value(format!("{module}.moments"), rows as u64 * 8);
        let residual = residual.map(|residual| (residual, self.activation(format!("{module}.sum"), hidden)));
        self.steps.push(Step::Norm { norm: Norm { module, rows }, x, residual, y, moments });
        y
    }

    fn layer(&self, module: String, inputs: usize, outputs: usize) -> Layer {
        let (weight, bias) = (format!("{module}.weight"), Some(format!("{module}.bias")));
        Layer { weight, bias, rows: self.rows(), inputs, outputs, plane: 0 }
    }

    fn linear(&mut self, module: String, x: Id, inputs: usize, outputs: usize) -> Id {
        let z = self.activation(format!("{module}.z"), outputs);
        let layer = self.layer(module, inputs, outputs);
        self.steps.push(Step::Linear { layer, x, z, after: After::Nothing });
        z
    }

    /// The first half of a feed-forward part.
    fn activated(&mut self, module: String, x: Id) -> Id {
        let inner = self.config.intermediate;
        let (z, h) = (self.activation(format!("{module}.z"), inner), self.activation(format!("{module}.h"), inner));
        let layer = self.layer(module, self.config.hidden, inner);
        let after = After::Activation(self.config.activation, h);
        self.steps.push(Step::Linear { layer, x, z, after });
        h
    }

    /// residual + linear(x), with dropout before the sum.
    fn residual(&mut self, module: String, x: Id, inputs: usize, residual: Id) -> Id {
        let hidden = self.config.hidden;
        if self.drops() {
            let z = self.linear(module, x, inputs, hidden);
            return self.dropout_of(z, Some(residual), self.rows(), hidden);
        }
        let z = self.activation(format!("{module}.z"), hidden);
        let layer = self.layer(module, inputs, hidden);
        let after = After::Residual(residual);
        self.steps.push(Step::Linear { layer, x, z, after });
        z
    }

    fn attention(&mut self, module: String, qkv: Id) -> Id {
        let out = self.activation(format!("{module}.out"), self.config.hidden);
        let lse = self.value(format!("{module}.lse"), (self.rows() * self.config.heads * 4) as u64);
        // None of the streams of [`Step::Dropout`], which are few.
        let stream = (1 << 16) + self.attentions;
        self.attentions += 1;
        self.steps.push(Step::Attention { qkv, out, lse, stream });
        out
    }

    fn dropout(&mut self, x: Id, width: usize) -> Id {
        self.dropout_of(x, None, self.rows(), width)
    }

    fn drops(&self) -> bool {
        self.trains && self.config.dropout > 0.0
    }

    fn dropout_of(&mut self, x: Id, residual: Option<Id>, rows: usize, width: usize) -> Id {
        if !self.drops() {
            return x;
        }
        let y = self.value(format!("dropout.{}", self.dropouts), activation_bytes(rows, width));
        let stream = self.dropouts;
        self.dropouts += 1;
        self.steps.push(Step::Dropout { x, y, residual, rows, width, stream });
        y
    }
}

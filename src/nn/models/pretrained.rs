//! The model in the `config.json` of a Hugging Face folder: its family and sizes.

use super::head::{Head, Pooling};
use super::style::Style;
use super::vit_style::VitStyle;
use super::{Bert, Gpt2, TransformerSizes};
use crate::nn::{Activation, Error, Network};
use crate::params::nearest;
use serde_json::{Map, Value};

/// A pretrained transformer by its `config.json`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Pretrained {
    /// Its family.
    pub kind: PretrainedKind,
    /// Its sizes; the context is the longest that its positions allow.
    pub sizes: TransformerSizes,
    /// Token types, 0 for none.
    pub types: usize,
    /// The entry of the table of positions that the first token has.
    pub first_position: usize,
    /// Dropout before each layer of the head.
    pub head_dropout: f32,
    /// Whether a decoder's output layer is its token table.
    pub tied: bool,
    /// Names of the classes, in the order of the outputs; empty if it has none of its own.
    pub labels: Vec<String>,
    /// Its tokens for padding, beginning and end, if any.
    pub marks: Marks,
}

/// Special tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Marks {
    /// Padding.
    pub pad: Option<u32>,
    /// Before a text.
    pub begin: Option<u32>,
    /// Behind a text.
    pub end: Option<u32>,
}

/// Families that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PretrainedKind {
    /// An encoder in BERT's shape.
    Encoder(Style),
    /// GPT-2.
    Decoder,
}

/// By `model_type`.
const KINDS: [(&str, PretrainedKind); 4] = [
    ("bert", PretrainedKind::Encoder(Style::Bert)),
    ("roberta", PretrainedKind::Encoder(Style::Roberta)),
    ("distilbert", PretrainedKind::Encoder(Style::DistilBert)),
    ("gpt2", PretrainedKind::Decoder),
];

/// Activations, as configurations call them.
const ACTIVATIONS: [(&str, Activation); 5] = [
    ("gelu", Activation::Gelu),
    ("relu", Activation::Relu),
    ("gelu_new", Activation::GeluNew),
    ("gelu_pytorch_tanh", Activation::GeluNew),
    ("tanh", Activation::Tanh),
];

/// Settings that change what a model computes, each with the value that is computed here.
const FIXED: [(&str, &str); 7] = [
    ("position_embedding_type", "\"absolute\""),
    ("is_decoder", "false"),
    ("add_cross_attention", "false"),
    ("scale_attn_weights", "true"),
    ("scale_attn_by_inverse_layer_idx", "false"),
    ("chunk_size_feed_forward", "0"),
    ("embedding_size", "null"),
];

impl PretrainedKind {
    /// `model_type` of its `config.json`.
    pub fn word(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
}

impl Pretrained {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// [`Error::BadSetting`] naming the key, its value and what it may be.
    pub fn parse(json: &str) -> Result<Pretrained, Error> {
        let value = Config::parse(json)?;
        let config = Config::object(&value)?;
        let kind = config.family(&KINDS)?;
        if let Some((key, allowed)) = FIXED.iter().find(|(key, value)| config.differs(key, value)) {
            return Err(bad(key, &config.0[*key], format!("{allowed}, the only kind that gradus computes")));
        }
        let pretrained = match kind {
            PretrainedKind::Encoder(Style::DistilBert) => config.distilbert(kind)?,
            PretrainedKind::Encoder(_) => config.bert(kind)?,
            PretrainedKind::Decoder => config.gpt2(kind)?,
        };
        pretrained.sizes.check()?;
        Ok(pretrained)
    }

    /// What transformers' class for classification takes for a sequence.
    pub fn own_pooling(&self) -> Pooling {
        match self.kind {
            PretrainedKind::Encoder(Style::Bert) => Pooling::Pooler,
            PretrainedKind::Encoder(_) => Pooling::First,
            PretrainedKind::Decoder => Pooling::Last,
        }
    }

    /// The sizes for sequences of at most so many tokens.
    ///
    /// # Errors
    /// [`Error::BadSetting`] for more than there are positions.
    fn sizes_at(&self, context: usize) -> Result<TransformerSizes, Error> {
        match context > self.sizes.context {
            true => Err(bad("context", context, format!("at most {}, its positions", self.sizes.context))),
            false => Ok(TransformerSizes { context, ..self.sizes.clone() }),
        }
    }

    /// The encoder, with this head, for sequences of at most so many tokens.
    ///
    /// # Errors
    /// Errors of the model's own check.
    pub fn encoder(&self, style: Style, context: usize, pooling: Pooling, head: Head) -> Result<Bert, Error> {
        let (sizes, first_position) = (self.sizes_at(context)?, self.first_position);
        let model = Bert { sizes, style, types: self.types, first_position, pooling, head };
        model.check()?;
        Ok(model)
    }

    /// The decoder, for sequences of at most so many tokens: on its own vocabulary, or with a head on a token.
    ///
    /// # Errors
    /// Errors of the model's own check.
    pub fn decoder(&self, context: usize, head: Option<(Pooling, Head)>) -> Result<Gpt2, Error> {
        let model = Gpt2 { sizes: self.sizes_at(context)?, tied: self.tied, head };
        model.check()?;
        Ok(model)
    }
}

/// The object that a `config.json` is.
pub(super) struct Config<'a>(&'a Map<String, Value>);

impl<'a> Config<'a> {
    /// The file as JSON.
    pub(super) fn parse(json: &str) -> Result<Value, Error> {
        serde_json::from_str(json).map_err(|error| bad("config.json", error, "JSON"))
    }

    pub(super) fn object(value: &'a Value) -> Result<Config<'a>, Error> {
        value.as_object().map(Config).ok_or_else(|| bad("config.json", value, "an object"))
    }
}

impl Config<'_> {
    /// The family that `model_type` names.
    pub(super) fn family<K: Copy>(&self, kinds: &[(&'static str, K)]) -> Result<K, Error> {
        let pictures = VitStyle::ALL.into_iter().map(VitStyle::word).chain(["resnet"]);
        let texts = KINDS.iter().map(|(word, _)| *word);
        let known = texts.chain(pictures);
        let allowed = format!("one of the known families: {}", known.clone().collect::<Vec<_>>().join(", "));
        let Some(word) = self.0.get("model_type") else { return Err(missing("model_type", &allowed)) };
        let found = word.as_str().and_then(|word| kinds.iter().find(|(known, _)| *known == word));
        let near = word.as_str().and_then(|word| nearest(word, known));
        let near = near.map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
        found.map(|(_, kind)| *kind).ok_or_else(|| bad("model_type", word, format!("{allowed}{near}")))
    }

    fn bert(&self, kind: PretrainedKind) -> Result<Pretrained, Error> {
        let dropout = self.share("hidden_dropout_prob", 0.1)?;
        let first_position = match kind {
            PretrainedKind::Encoder(Style::Roberta) => self.count_or("pad_token_id", 1)? + 1,
            _ => 0,
        };
        let positions = self.count("max_position_embeddings")?;
        let sizes = TransformerSizes {
            layers: self.count("num_hidden_layers")?,
            heads: self.count("num_attention_heads")?,
            hidden: self.count("hidden_size")?,
            intermediate: self.count("intermediate_size")?,
            vocab: self.count("vocab_size")?,
            context: positions.saturating_sub(first_position),
            positions,
            activation: self.activation("hidden_act", "gelu")?,
            norm_eps: self.number("layer_norm_eps", 1e-12)? as f32,
            dropout,
            attention_dropout: self.share("attention_probs_dropout_prob", 0.1)?,
        };
        let head_dropout = self.share("classifier_dropout", dropout)?;
        self.of(kind, sizes, (self.count_or("type_vocab_size", 2)?, first_position), head_dropout)
    }

    fn distilbert(&self, kind: PretrainedKind) -> Result<Pretrained, Error> {
        let positions = self.count("max_position_embeddings")?;
        let sizes = TransformerSizes {
            layers: self.count("n_layers")?,
            heads: self.count("n_heads")?,
            hidden: self.count("dim")?,
            intermediate: self.count("hidden_dim")?,
            vocab: self.count("vocab_size")?,
            context: positions,
            positions,
            activation: self.activation("activation", "gelu")?,
            // It has no key for it.
            norm_eps: 1e-12,
            dropout: self.share("dropout", 0.1)?,
            attention_dropout: self.share("attention_dropout", 0.1)?,
        };
        self.of(kind, sizes, (0, 0), self.share("seq_classif_dropout", 0.2)?)
    }

    fn gpt2(&self, kind: PretrainedKind) -> Result<Pretrained, Error> {
        let (hidden, positions) = (self.count("n_embd")?, self.count("n_positions")?);
        let dropout = self.share("resid_pdrop", 0.1)?;
        if self.share("embd_pdrop", 0.1)? != dropout {
            return Err(bad(
                "embd_pdrop",
                &self.0["embd_pdrop"],
                format!("resid_pdrop, {dropout}: one dropout is both"),
            ));
        }
        let sizes = TransformerSizes {
            layers: self.count("n_layer")?,
            heads: self.count("n_head")?,
            hidden,
            intermediate: self.count_or("n_inner", 4 * hidden)?,
            vocab: self.count("vocab_size")?,
            context: positions,
            positions,
            activation: self.activation("activation_function", "gelu_new")?,
            norm_eps: self.number("layer_norm_epsilon", 1e-5)? as f32,
            dropout,
            attention_dropout: self.share("attn_pdrop", 0.1)?,
        };
        self.of(kind, sizes, (0, 0), 0.0)
    }

    fn of(
        &self,
        kind: PretrainedKind,
        sizes: TransformerSizes,
        (types, first_position): (usize, usize),
        head_dropout: f32,
    ) -> Result<Pretrained, Error> {
        let tied = self.0.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(true);
        // Some have a list of ends.
        let first = |key: &str| self.there(key).and_then(|value| value.as_u64().or_else(|| value[0].as_u64()));
        let token = |key: &str| first(key).and_then(|token| u32::try_from(token).ok());
        let marks = Marks { pad: token("pad_token_id"), begin: token("bos_token_id"), end: token("eos_token_id") };
        Ok(Pretrained { kind, sizes, types, first_position, head_dropout, tied, labels: self.labels(), marks })
    }

    /// `id2label`, if its names are more than the default `LABEL_0`, `LABEL_1`.
    pub(super) fn labels(&self) -> Vec<String> {
        let Some(named) = self.0.get("id2label").and_then(Value::as_object) else { return Vec::new() };
        let name = |place: usize| named.get(&place.to_string()).and_then(Value::as_str).map(str::to_owned);
        let labels: Vec<String> = (0..named.len()).map_while(name).collect();
        let is_nobody = |(place, label): (usize, &String)| *label == format!("LABEL_{place}");
        if labels.len() < named.len() || labels.iter().enumerate().all(is_nobody) { Vec::new() } else { labels }
    }

    /// Whether it has another value than this, if any.
    fn differs(&self, key: &str, value: &str) -> bool {
        let fixed: Option<Value> = serde_json::from_str(value).ok();
        self.there(key).is_some_and(|there| Some(there) != fixed.as_ref())
    }

    pub(super) fn there(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn count(&self, key: &'static str) -> Result<usize, Error> {
        match self.there(key) {
            Some(_) => self.count_or(key, 0),
            None => Err(missing(key, "a whole number")),
        }
    }

    pub(super) fn count_or(&self, key: &'static str, usual: usize) -> Result<usize, Error> {
        let Some(value) = self.there(key) else { return Ok(usual) };
        let count = value.as_u64().filter(|count| *count <= 1 << 24);
        count.map(|count| count as usize).ok_or_else(|| bad(key, value, "a whole number of at most 2^24"))
    }

    pub(super) fn number(&self, key: &'static str, usual: f64) -> Result<f64, Error> {
        let Some(value) = self.there(key) else { return Ok(usual) };
        value.as_f64().ok_or_else(|| bad(key, value, "a number"))
    }

    pub(super) fn is(&self, key: &'static str, usual: bool) -> Result<bool, Error> {
        let Some(value) = self.there(key) else { return Ok(usual) };
        value.as_bool().ok_or_else(|| bad(key, value, "true or false"))
    }

    pub(super) fn share(&self, key: &'static str, usual: f32) -> Result<f32, Error> {
        let share = self.number(key, f64::from(usual))? as f32;
        if (0.0..1.0).contains(&share) { Ok(share) } else { Err(bad(key, share, "a share, from 0 to less than 1")) }
    }

    pub(super) fn activation(&self, key: &'static str, usual: &str) -> Result<Activation, Error> {
        let word = match self.there(key) {
            Some(value) => value.as_str().ok_or_else(|| bad(key, value, "a word"))?,
            None => usual,
        };
        let found = ACTIVATIONS.iter().find(|(known, _)| *known == word);
        let known = ACTIVATIONS.map(|(word, _)| word).join(", ");
        found.map(|(_, activation)| *activation).ok_or_else(|| bad(key, word, format!("one of {known}")))
    }
}

pub(super) fn bad(setting: &'static str, value: impl std::fmt::Display, allowed: impl Into<String>) -> Error {
    Error::BadSetting { setting, value: value.to_string(), allowed: allowed.into() }
}

fn missing(setting: &'static str, allowed: &str) -> Error {
    Error::NoSetting { setting, allowed: allowed.to_owned() }
}

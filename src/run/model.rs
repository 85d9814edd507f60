//! The section `model`.

use super::Error;
use super::paths::absolute;
use crate::nn::models::{Bert, Gpt2, Mlp, Pooling};
use crate::nn::{Activation, Network};
use crate::params::Storage;
use crate::schedule::file::raw::Raw;
use crate::schedule::file::section::Section;
use std::path::{Path, PathBuf};

/// What kind of model is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelKind {
    /// A multi-layer perceptron on rows of numbers, [`train::Classify`](crate::train::Classify).
    Mlp,
    /// A decoder on text, [`train::Language`](crate::train::Language).
    Decoder,
    /// An encoder on labelled texts, [`train::ClassifySequences`](crate::train::ClassifySequences).
    Encoder,
}

impl std::fmt::Display for ModelKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = ModelKind::ALL.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl ModelKind {
    const ALL: [(&'static str, ModelKind); 3] =
        [("mlp", ModelKind::Mlp), ("decoder", ModelKind::Decoder), ("encoder", ModelKind::Encoder)];
}

/// What a run file says of its model. TransformerSizes that follow from the data are not in it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// `type`.
    pub kind: ModelKind,
    /// An MLP's `hidden`: sizes of its hidden layers.
    pub layers: Vec<usize>,
    /// An MLP's `activation`.
    pub activation: Activation,
    /// A transformer's `preset`: tiny, small or base.
    pub preset: String,
    /// A transformer's `context`: tokens of a sequence.
    pub context: usize,
    /// A decoder's `tied`: its output layer is the token table.
    pub tied: bool,
    /// An encoder's `pooling`.
    pub pooling: Pooling,
    /// A transformer's `dropout`.
    pub dropout: f32,
    /// `parameters`: how they are stored, f32 or bf16; see [`train::Config::parameters`](crate::train::Config::parameters).
    pub parameters: Storage,
    /// `from`: what values are begun with: the folder of an earlier run, whose `model.safetensors` that is, or a file, such
    /// as its `best.safetensors`.
    pub from: Option<PathBuf>,
    pub(super) raw: Raw,
}

/// An MLP's hidden layers where nothing is said.
const HIDDEN: [usize; 2] = [128, 64];

impl ModelSpec {
    pub(super) fn read(mut section: Section, folder: &Path) -> Result<ModelSpec, Error> {
        let types = ModelKind::ALL.map(|(name, _)| name);
        if !section.peek("type").is_some_and(|kind| types.contains(&kind)) {
            section.only_among(&ALL_KEYS, "type, from and the keys of that model")?;
        }
        let name = section.word("type", &types)?;
        let kind = ModelKind::ALL.iter().find(|(known, _)| *known == name).map_or(ModelKind::Mlp, |(_, kind)| *kind);
        let keys: &[&str] = match kind {
            ModelKind::Mlp => &["type", "hidden", "activation", "parameters", "from"],
            ModelKind::Decoder => &["type", "preset", "context", "tied", "dropout", "parameters", "from"],
            ModelKind::Encoder => &["type", "preset", "context", "pooling", "dropout", "parameters", "from"],
        };
        section.only(keys)?;
        let dropout = section.number("dropout", 0.0)?;
        if !(0.0..1.0).contains(&dropout) {
            return Err(section.bad("dropout", dropout.to_string(), "a share: from 0 to less than 1", None).into());
        }
        let tokens = section.count_or("context", 64)?;
        let context = usize::try_from(tokens).ok().filter(|tokens| (1..=1 << 24).contains(tokens));
        let context = context.ok_or_else(|| section.bad("context", tokens.to_string(), "from 1 to 2^24", None))?;
        let from = section.maybe_text("from")?.map(|path| folder.join(path));
        let mut spec = ModelSpec {
            kind,
            layers: section.counts("hidden")?.unwrap_or_else(|| HIDDEN.to_vec()),
            activation: Activation::parse(section.word_or_first("activation", &["gelu", "relu", "gelu_new", "tanh"])?)?,
            preset: section.word_or_first("preset", &["tiny", "small", "base"])?.to_owned(),
            context,
            tied: section.truth("tied", true)?,
            pooling: pooling(&mut section)?,
            dropout: dropout as f32,
            parameters: match section.word_or_first("parameters", &[Storage::F32, Storage::Bf16].map(Storage::name))? {
                "bf16" => Storage::Bf16,
                _ => Storage::F32,
            },
            from,
            raw: Raw::default(),
        };
        // Of other kinds' keys nothing is said.
        spec.raw = Raw::default().with("hidden", HIDDEN.to_vec()).with_all(section.said()).only(keys);
        if let Some(from) = &spec.from {
            spec.raw = std::mem::take(&mut spec.raw).with("from", absolute(from));
        }
        Ok(spec)
    }

    /// What the names of the head's parameters start with: what a task has of its own, where the trunk is pretrained.
    pub(super) fn head(&self) -> Vec<String> {
        let names: &[&str] = match (self.kind, self.tied, self.pooling) {
            (ModelKind::Mlp, ..) => return vec![format!("layers.{}.", self.layers.len())],
            (ModelKind::Decoder, true, _) => &[],
            (ModelKind::Decoder, false, _) => &["lm_head."],
            (ModelKind::Encoder, _, Pooling::Pooler) => &["classifier.", "pooler."],
            (ModelKind::Encoder, ..) => &["classifier."],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Patterns of what trains where the trunk does not: the head, and a decoder's last norm.
    pub(super) fn patterns_above_trunk(&self) -> Vec<String> {
        let norm = (self.kind == ModelKind::Decoder).then(|| "transformer.ln_f.".to_owned());
        self.head().into_iter().chain(norm).map(|start| start.replace('.', "\\.")).collect()
    }

    /// An MLP for rows of so many numbers and so many classes.
    pub(super) fn mlp(&self, inputs: usize, classes: usize) -> Result<Mlp, Error> {
        let sizes: Vec<usize> = [inputs].into_iter().chain(self.layers.iter().copied()).chain([classes]).collect();
        Ok(Mlp::new(&sizes, self.activation)?)
    }

    /// A decoder over so many tokens.
    pub(super) fn decoder(&self, vocabulary: usize) -> Result<Gpt2, Error> {
        let Gpt2 { sizes, .. } = Gpt2::preset(&self.preset, vocabulary, self.context)?;
        let model = Gpt2::new(sizes.dropout(self.dropout)).tied(self.tied);
        model.check()?;
        Ok(model)
    }

    /// An encoder over so many tokens that tells so many classes apart.
    pub(super) fn encoder(&self, vocabulary: usize, classes: usize) -> Result<Bert, Error> {
        let Bert { sizes, .. } = Bert::preset(&self.preset, vocabulary, self.context, classes)?;
        let model = Bert::new(sizes.dropout(self.dropout), classes).types(0).pooling(self.pooling);
        model.check()?;
        Ok(model)
    }

    /// Whether nothing but a decoder's last norm trains where its trunk does not.
    pub(super) fn has_no_head(&self) -> bool {
        self.head().is_empty()
    }

    /// Tables with a row for each token: what a model learnt in them holds for its own vocabulary alone.
    pub(super) fn token_tables(&self) -> &'static [&'static str] {
        match (self.kind, self.tied) {
            (ModelKind::Mlp, _) => &[],
            (ModelKind::Decoder, true) => &["transformer.wte.weight"],
            (ModelKind::Decoder, false) => &["transformer.wte.weight", "lm_head.weight"],
            (ModelKind::Encoder, _) => &["embeddings.word_embeddings.weight"],
        }
    }
}

fn pooling(section: &mut Section) -> Result<Pooling, Error> {
    let word = section.word_or_first("pooling", &Pooling::ALL.map(|(word, _)| word))?;
    Ok(Pooling::ALL.iter().find(|(known, _)| *known == word).map_or(Pooling::Mean, |(_, pooling)| *pooling))
}

const ALL_KEYS: [&str; 10] =
    ["type", "hidden", "activation", "preset", "context", "tied", "pooling", "dropout", "parameters", "from"];

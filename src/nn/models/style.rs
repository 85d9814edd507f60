//! What the encoders in BERT's shape differ in: the names of their parameters, and what each has below its classes.

/// One of the encoders in BERT's shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Style {
    /// BERT.
    #[default]
    Bert,
    /// RoBERTa: positions are counted from after the padding's; a dense layer and tanh come before the classes.
    Roberta,
    /// DistilBERT: no token types; a dense layer and ReLU come before the classes.
    DistilBert,
}

/// Names of parameters, as Hugging Face's classes have them.
#[derive(Debug)]
pub(super) struct Names {
    /// What the whole class puts before the trunk's.
    pub(super) base: &'static str,
    /// Before the number of a block.
    pub(super) blocks: &'static str,
    /// The three projections of attention, and what they are called together.
    pub(super) projections: [&'static str; 3],
    pub(super) qkv: &'static str,
    /// Behind attention: the dense layer, and the norm.
    pub(super) attended: &'static str,
    pub(super) attended_norm: &'static str,
    /// The feed-forward half: up, down, and the norm.
    pub(super) up: &'static str,
    pub(super) down: &'static str,
    pub(super) norm: &'static str,
    /// Tensors in its files that no model here has: those of pretraining.
    pub(super) unused: &'static [&'static str],
}

const BERT: Names = Names {
    base: "bert",
    blocks: "encoder.layer",
    projections: ["attention.self.query", "attention.self.key", "attention.self.value"],
    qkv: "attention.self.qkv",
    attended: "attention.output.dense",
    attended_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    norm: "output.LayerNorm",
    unused: &["cls.", "pooler."],
};

const ROBERTA: Names = Names { base: "roberta", unused: &["lm_head.", "pooler."], ..BERT };

const DISTILBERT: Names = Names {
    base: "distilbert",
    blocks: "transformer.layer",
    projections: ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    qkv: "attention.qkv",
    attended: "attention.out_lin",
    attended_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    norm: "output_layer_norm",
    unused: &["vocab_", "qa_outputs."],
};

impl Style {
    pub(super) fn names(self) -> &'static Names {
        match self {
            Style::Bert => &BERT,
            Style::Roberta => &ROBERTA,
            Style::DistilBert => &DISTILBERT,
        }
    }
}

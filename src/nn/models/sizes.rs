//! TransformerSizes that transformers share.

use crate::nn::{Activation, Error, init};
use crate::params::Param;
use crate::setters::setters;

/// TransformerSizes of a transformer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TransformerSizes {
    /// Blocks.
    pub layers: usize,
    /// Heads of the attention; they divide `hidden` into multiples of 4.
    pub heads: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width inside the feed-forward half of a block.
    pub intermediate: usize,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Longest sequence.
    pub context: usize,
    /// Entries of the table of positions: as many as the context, or more for a longer pretrained table.
    pub positions: usize,
    /// The feed-forward activation.
    pub activation: Activation,
    /// Added to the variance of a layer norm.
    pub norm_eps: f32,
    /// Share of activations that dropout zeroes in training; 0 for none.
    pub dropout: f32,
    /// The same of attention's weights.
    pub attention_dropout: f32,
}

/// TransformerSizes of the presets: layers, heads, hidden.
const PRESETS: [(&str, [usize; 3]); 3] = [("tiny", [3, 3, 96]), ("small", [6, 6, 384]), ("base", [12, 12, 768])];

/// Standard deviation of weights and tables (Radford et al. 2018).
pub(super) const DEVIATION: f32 = 0.02;

impl TransformerSizes {
    /// Layers, heads and width; tokens of the vocabulary, and the longest sequence. The feed-forward half is four times
    /// as wide, with GELU; norms add 1e-5, and there is no dropout.
    pub fn new([layers, heads, hidden]: [usize; 3], vocab: usize, context: usize) -> TransformerSizes {
        TransformerSizes {
            layers,
            heads,
            hidden,
            intermediate: hidden.saturating_mul(4),
            vocab,
            context,
            positions: context,
            activation: Activation::Gelu,
            norm_eps: 1e-5,
            dropout: 0.0,
            attention_dropout: 0.0,
        }
    }

    setters! {
        layers: usize,
        heads: usize,
        hidden: usize,
        intermediate: usize,
        vocab: usize,
        positions: usize,
        activation: Activation,
        norm_eps: f32,
        attention_dropout: f32,
    }

    /// The same for sequences of so many tokens, and as many positions.
    #[must_use]
    pub fn context(self, context: usize) -> TransformerSizes {
        TransformerSizes { context, positions: context, ..self }
    }

    /// The same with this share of dropout, of attention's weights too.
    #[must_use]
    pub fn dropout(self, dropout: f32) -> TransformerSizes {
        TransformerSizes { dropout, attention_dropout: dropout, ..self }
    }

    /// TransformerSizes by preset: `tiny` (0.3 M parameters in its blocks), `small` (10 M) or `base` (85 M, those of GPT-2 and BERT).
    ///
    /// # Errors
    /// [`Error::UnknownPreset`] naming the known ones.
    pub(super) fn preset(
        preset: &str,
        vocab: usize,
        context: usize,
        (activation, norm_eps): (Activation, f32),
    ) -> Result<TransformerSizes, Error> {
        let known = PRESETS.iter().find(|(name, _)| *name == preset);
        let (_, shape) = *known.ok_or_else(|| Error::UnknownPreset { name: preset.to_owned() })?;
        Ok(TransformerSizes::new(shape, vocab, context).activation(activation).norm_eps(norm_eps))
    }

    /// Checks them.
    pub(super) fn check(&self) -> Result<(), Error> {
        let sizes = [
            ("layers", self.layers),
            ("heads", self.heads),
            ("hidden", self.hidden),
            ("intermediate", self.intermediate),
            ("vocab", self.vocab),
            ("context", self.context),
            ("positions", self.positions),
        ];
        sizes.into_iter().try_for_each(|(setting, value)| check_size(setting, value, 1))?;
        check_block([self.heads, self.hidden], self.norm_eps)?;
        let bad = |setting, value: f64, allowed| Err(Error::BadConfig { setting, value, allowed });
        if self.context > self.positions {
            return bad("context", self.context as f64, "at most the entries of the table of positions");
        }
        let shares = [("dropout", self.dropout), ("attention_dropout", self.attention_dropout)];
        match shares.into_iter().find(|(_, share)| !(0.0..1.0).contains(share)) {
            Some((setting, share)) => bad(setting, f64::from(share), "in [0, 1)"),
            None => Ok(()),
        }
    }

    /// What a pass computes, apart from the shapes of its parameters.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("heads", self.heads.to_string()),
            ("context", self.context.to_string()),
            ("activation", format!("{:?}", self.activation)),
            ("dropout", self.dropout.to_string()),
            ("norm_eps", self.norm_eps.to_string()),
        ];
        if self.attention_dropout != self.dropout {
            settings.push(("attention_dropout", self.attention_dropout.to_string()));
        }
        settings
    }

    /// Numbers of a token in the widest activation, with so many logits on top.
    pub(super) fn widest(&self, logits: usize) -> usize {
        (3 * self.hidden).max(self.intermediate).max(logits).next_multiple_of(4)
    }

    /// Initial values: weights and tables normal with a deviation of 0.02, `narrower` times less, biases 0, norms 1.
    pub(super) fn initial(&self, param: &Param, seed: u32, place: u32, narrower: f32) -> Vec<f32> {
        let is_bias = param.name.ends_with(".bias");
        match param.shape[..] {
            [_, _] => init::normal(DEVIATION / narrower, param.elements(), seed, place),
            _ => vec![if is_bias { 0.0 } else { 1.0 }; param.elements()],
        }
    }
}

/// Checks heads of this width, which are not 0, and what a norm adds.
pub(super) fn check_block([heads, hidden]: [usize; 2], norm_eps: f32) -> Result<(), Error> {
    let bad = |setting, value: f64, allowed| Err(Error::BadConfig { setting, value, allowed });
    if !hidden.is_multiple_of(heads) || !(hidden / heads).is_multiple_of(4) {
        return bad("heads", heads as f64, "a number that divides hidden into multiples of 4");
    }
    if hidden / heads > 128 {
        return bad("heads", heads as f64, "so many that a head has at most 128 numbers");
    }
    if !norm_eps.is_finite() || norm_eps < 0.0 {
        return bad("norm_eps", f64::from(norm_eps), "finite and at least 0");
    }
    Ok(())
}

/// Checks the share of stochastic depth.
pub(super) fn check_drop_path(rate: f32) -> Result<(), Error> {
    match (0.0..1.0).contains(&rate) {
        true => Ok(()),
        false => Err(Error::BadConfig { setting: "drop_path_rate", value: rate.into(), allowed: "in [0, 1)" }),
    }
}

/// Stochastic depth among the settings of a model, if there is any.
pub(super) fn dropped_path(rate: f32) -> Vec<(&'static str, String)> {
    if rate == 0.0 { Vec::new() } else { vec![("drop_path_rate", rate.to_string())] }
}

pub(super) fn check_size(setting: &'static str, value: usize, least: usize) -> Result<(), Error> {
    if (least..=1 << 24).contains(&value) {
        return Ok(());
    }
    let allowed = if least == 0 { "from 0 to 2^24" } else { "from 1 to 2^24" };
    Err(Error::BadConfig { setting, value: value as f64, allowed })
}

//! `optimizer.layer_decay`: the layer of each parameter, and what that leaves of its rate.
//!
//! As timm's `param_groups_layer_decay`: the last layer has the whole rate, each one before it `layer_decay` times that of the next. The
//! stem is the first layer, each module with a number (`encoder.layer.3`) one of its own, and the head the last. A norm after the
//! numbered modules belongs to the last of these, and so does an EfficientNet's last convolution.

use super::Plan;
use crate::params::{has_word, numbered_module};
use std::collections::HashMap;

/// An EfficientNet's last convolution, and its norm.
const LAST: [&str; 2] = ["conv_head.", "bn2."];

/// The layer of each parameter, from the stem on. Names are in the model's order.
pub(super) fn layers(names: &[&str]) -> Vec<usize> {
    let mut numbered: HashMap<&str, usize> = HashMap::new();
    let mut layers = Vec::with_capacity(names.len());
    for name in names {
        let count = numbered.len();
        // A head's hidden layers have numbers and norms too.
        let is_head = name.starts_with("head.");
        let module = numbered_module(name).filter(|_| !is_head);
        let layer = module.map(|module| *numbered.entry(module).or_insert(1 + count));
        layers.push(match layer {
            Some(layer) => layer,
            None if numbered.is_empty() => 0,
            None if is_head => usize::MAX,
            None if has_word(name, "norm") || LAST.iter().any(|last| name.starts_with(last)) => numbered.len(),
            None => usize::MAX,
        });
    }
    // All that comes behind is the head.
    layers.into_iter().map(|layer| layer.min(numbered.len() + 1)).collect()
}

impl Plan {
    /// What a layer keeps of the rate.
    pub(super) fn layer_scale(&self, layer: Option<usize>) -> f64 {
        match (self.layer_decay, layer) {
            (Some(decay), Some(layer)) => {
                let last = self.layer_of.iter().copied().max().unwrap_or(layer);
                decay.powi(i32::try_from(last - layer).unwrap_or(i32::MAX))
            }
            _ => 1.0,
        }
    }

    /// Parameters by layer, where layers have rates of their own.
    pub(super) fn by_layer(&self, params: Vec<usize>) -> Vec<(Option<usize>, Vec<usize>)> {
        if self.layer_decay.is_none() {
            return vec![(None, params)];
        }
        let mut layers: Vec<usize> = params.iter().map(|param| self.layer_of[*param]).collect();
        layers.sort_unstable();
        layers.dedup();
        let of = |layer| (Some(layer), params.iter().copied().filter(|param| self.layer_of[*param] == layer).collect());
        layers.into_iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stem_numbered_modules_norm_and_head_are_layers() {
        for (names, expected) in [
            (
                &["embeddings.word", "encoder.layer.0.w", "encoder.layer.1.w", "pooler.dense", "classifier"][..],
                &[0, 1, 2, 3, 3][..],
            ),
            (
                &["transformer.wte", "transformer.h.0.w", "transformer.h.1.w", "transformer.ln_f", "lm_head"],
                &[0, 1, 2, 2, 3],
            ),
            (&["conv1.weight", "layer1.0.conv", "layer1.1.conv", "layer2.0.conv", "fc.weight"], &[0, 1, 2, 3, 4]),
            (
                &["conv_stem.w", "blocks.0.0.w", "blocks.1.0.w", "conv_head.w", "bn2.w", "classifier.w"],
                &[0, 1, 2, 2, 2, 3],
            ),
            (&["embeddings.word", "encoder.layer.0.w", "head.0.weight", "head.0.bn.weight", "fc"], &[0, 1, 2, 2, 2]),
            (&["layers.0.weight", "layers.1.weight"], &[1, 2]),
            (&["a", "b"], &[0, 0]),
        ] {
            assert_eq!(layers(names), expected, "{names:?}");
        }
    }
}

//! Initial values, as GPT-2 and BERT have them.

use super::config::{Config, Kind};
use crate::nn::init::normal;

/// Standard deviation of weights and tables (Radford et al. 2018).
const DEVIATION: f32 = 0.02;

impl Config {
    /// Initial values of each parameter, from a seed: weights and tables normal with deviation 0.02, biases 0, norms 1.
    /// In a decoder what ends in the residual stream has a deviation smaller by √(2 · layers) (Radford et al. 2019).
    pub fn initial(&self, seed: u32) -> Vec<(String, Vec<f32>)> {
        let values = |(tensor, param): (u32, crate::params::Param)| {
            let elements = param.elements();
            let values = match self.deviation(&param.name) {
                Some(deviation) => normal(deviation, elements, seed, tensor),
                None if param.name.ends_with(".weight") => vec![1.0; elements],
                None => vec![0.0; elements],
            };
            (param.name, values)
        };
        (0..).zip(self.params()).map(values).collect()
    }

    /// `None` for norms and biases.
    fn deviation(&self, name: &str) -> Option<f32> {
        let is_norm = ["LayerNorm", "ln_1", "ln_2", "ln_f"].iter().any(|norm| name.contains(norm));
        if is_norm || name.ends_with(".bias") {
            return None;
        }
        let ends_in_residual = matches!(self.kind, Kind::Decoder { .. }) && name.ends_with("c_proj.weight");
        let narrower = if ends_in_residual { (2.0 * self.layers as f32).sqrt() } else { 1.0 };
        Some(DEVIATION / narrower)
    }
}

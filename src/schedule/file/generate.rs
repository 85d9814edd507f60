//! Schedules made only from a model's parameters.

use super::raw::Raw;
use crate::params::{Param, numbered_module};

/// finetuning-scheduler's implicit schedule: the parameters in reversed order, two a phase; the last phase may have
/// one.
pub fn implicit(params: &[Param]) -> Vec<Vec<String>> {
    let reversed: Vec<String> = params.iter().rev().map(|param| param.name.clone()).collect();
    reversed.chunks(2).map(<[String]>::to_vec).collect()
}

/// A phase per layer: the head first, the embeddings last.
///
/// A layer is a run of parameters that share their name up to its first number (`encoder.layer.3`), or up to its first
/// dot if there is no number.
pub fn by_layer(params: &[Param]) -> Vec<Vec<String>> {
    let mut layers: Vec<(&str, Vec<String>)> = Vec::new();
    for param in params.iter().rev() {
        let layer = layer(&param.name);
        match layers.last_mut().filter(|(last, _)| *last == layer) {
            Some((_, members)) => members.push(param.name.clone()),
            None => layers.push((layer, vec![param.name.clone()])),
        }
    }
    layers.into_iter().map(|(_, members)| members).collect()
}

fn layer(name: &str) -> &str {
    numbered_module(name).or(name.split('.').next()).unwrap_or(name)
}

/// Phases as a schedule file: block style, keys in alphabetical order, as finetuning-scheduler writes them.
pub fn to_yaml(phases: &[Vec<String>]) -> String {
    let phases = phases.iter().map(|params| Raw::default().with("params", params.clone())).enumerate();
    phases.fold(Raw::default(), |file, (number, phase)| file.with(number, phase)).to_text()
}

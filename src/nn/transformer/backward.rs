//! The backward pass, from the forward steps in reverse.
//!
//! It stops where nothing below is trainable: a step has a backward part only if a parameter at or below it has a
//! gradient to get, and a frozen parameter gets none. A value that two steps use gets the sum of two gradients: the
//! second is added to the first. Where a step only adds (a residual), the gradient is the same memory: whoever made the
//! sum has read it before anyone adds to it, because what was made later is gone through earlier.

use super::forward::Recorder;
use super::step::{After, Id, Layer, Step, Value};
use crate::nn::Activation;
use std::collections::HashMap;

/// The gradients of values, while the pass goes back.
struct Backward<'a> {
    values: &'a mut Vec<Value>,
    steps: Vec<Step>,
    /// Whether a value depends on a trainable parameter.
    needed: Vec<bool>,
    gradients: HashMap<Id, Id>,
    trainable: &'a dyn Fn(&str) -> bool,
    /// What made an activated value: the activation and its argument.
    activated: HashMap<Id, (Activation, Id)>,
    delta_bytes: u64,
}

impl Recorder<'_> {
    /// Adds the loss and the backward pass to the forward steps. `trainable` says which parameters get gradients.
    pub(super) fn backward(&mut self, logits: Id, trainable: &dyn Fn(&str) -> bool) {
        // Evaluation makes no gradient; what is bound in its place is left alone.
        let dlogits = self.value("d.logits", if self.trains { self.values[logits].bytes } else { 16 });
        // 8 bytes a row, at most one for each row of the batch.
        let verdict_bytes = self.rows() as u64 * 8;
        let verdicts = self.value("verdicts", verdict_bytes);
        let forward = self.steps.clone();
        let needed = needed(&forward, self.values.len(), trainable);
        self.steps.push(Step::Loss { logits, dlogits, verdicts });
        if !needed[logits] {
            return;
        }
        let mut backward = Backward {
            delta_bytes: (self.rows() * self.config.heads * 4) as u64,
            values: &mut self.values,
            steps: Vec::new(),
            needed,
            gradients: HashMap::from([(logits, dlogits)]),
            trainable,
            activated: activated(&forward),
        };
        for step in forward.iter().rev() {
            backward.step(step);
        }
        let steps = backward.steps;
        self.steps.extend(steps);
    }
}

/// Whether each value depends on a trainable parameter.
pub(super) fn needed(steps: &[Step], values: usize, trainable: &dyn Fn(&str) -> bool) -> Vec<bool> {
    let mut needed = vec![false; values];
    for step in steps {
        let (reads, writes) = step.values();
        let own = step.params().into_iter().any(trainable) || norm_params(step).iter().any(|name| trainable(name));
        // A plane of a value may depend where another does not.
        let is_needed = own || reads.iter().any(|read| needed[*read]);
        writes.iter().for_each(|write| needed[*write] |= is_needed);
    }
    needed
}

/// The activations that linear layers write, by their value. Dropout of one counts as one: both act on each number for
/// itself, so the layer above may go through the activation before the dropout is gone through.
fn activated(steps: &[Step]) -> HashMap<Id, (Activation, Id)> {
    let mut activated = HashMap::new();
    for step in steps {
        match step {
            Step::Linear { z, after: After::Activation(activation, h), .. } => {
                activated.insert(*h, (*activation, *z));
            }
            Step::Dropout { x, y, residual: None, .. } => {
                if let Some(made) = activated.get(x).copied() {
                    activated.insert(*y, made);
                }
            }
            _ => {}
        }
    }
    activated
}

fn norm_params(step: &Step) -> Vec<String> {
    match step {
        Step::Norm { norm, .. } => vec![format!("{}.weight", norm.module), format!("{}.bias", norm.module)],
        _ => vec![],
    }
}

impl Backward<'_> {
    /// The backward part of a forward step.
    fn step(&mut self, step: &Step) {
        match step {
            Step::Embed { tables, y } => {
                if let (Some(dy), true) = (self.gradients.get(y).copied(), self.any(tables)) {
                    self.steps.push(Step::EmbedBackward { tables: tables.clone(), dy });
                }
            }
            Step::Norm { norm, x, residual, y, moments } => {
                let Some(dy) = self.gradients.get(y).copied() else { return };
                let normed = residual.map_or(*x, |(_, sum)| sum);
                if self.any(&norm_params(step)) {
                    let (norm, moments) = (norm.clone(), *moments);
                    self.steps.push(Step::NormWeight { norm, dy, x: normed, moments });
                }
                let wanted = [Some(*x), residual.map(|(residual, _)| residual)];
                let wanted: Vec<Id> = wanted.into_iter().flatten().filter(|id| self.needed[*id]).collect();
                let Some(first) = wanted.first() else { return };
                let (dx, adds) = self.gradient(*first);
                self.steps.push(Step::NormInput { norm: norm.clone(), dy, x: normed, moments: *moments, dx, adds });
                // Both sides of the sum have one gradient.
                wanted.iter().for_each(|id| _ = self.gradients.insert(*id, dx));
            }
            Step::Linear { layer, x, z, after } => {
                let Some(dz) = self.z_gradient(*z, *after) else { return };
                let own: Vec<&String> = [Some(&layer.weight), layer.bias.as_ref()].into_iter().flatten().collect();
                if own.iter().any(|name| (self.trainable)(name)) {
                    self.steps.push(Step::LinearWeight { layer: layer.clone(), dz, x: *x });
                }
                if let After::Residual(residual) = after
                    && self.needed[*residual]
                {
                    self.gradients.insert(*residual, dz);
                }
                if self.needed[*x] {
                    self.linear_input(layer.clone(), dz, *x);
                }
            }
            Step::Attention { qkv, out, lse, stream } => {
                let Some(dout) = self.gradients.get(out).copied() else { return };
                let delta = self.fresh("d.attention.delta", self.delta_bytes);
                let dqkv = self.fresh("d.qkv", self.values[*qkv].bytes);
                let (qkv, out, lse, stream) = (*qkv, *out, *lse, *stream);
                self.steps.push(Step::AttentionQuery { qkv, out, dout, lse, delta, dqkv, stream });
                self.steps.push(Step::AttentionKeyValue { qkv, dout, lse, delta, dqkv, stream });
                self.gradients.insert(qkv, dqkv);
            }
            Step::Pool { x, y } => {
                let (Some(dy), true) = (self.gradients.get(y).copied(), self.needed[*x]) else { return };
                let (dx, _) = self.gradient(*x);
                self.steps.push(Step::PoolBackward { dy, dx });
            }
            Step::Dropout { x, y, residual, rows, width, stream } => {
                let Some(dy) = self.gradients.get(y).copied() else { return };
                if let Some(residual) = residual.filter(|residual| self.needed[*residual]) {
                    self.gradients.insert(residual, dy);
                }
                if self.needed[*x] {
                    let (dx, _) = self.gradient(*x);
                    let (rows, width, stream) = (*rows, *width, *stream);
                    self.steps.push(Step::Dropout { x: dy, y: dx, residual: None, rows, width, stream });
                }
            }
            _ => {}
        }
    }

    /// The gradient of z. Where there is an activation, the layer above has put it there, taken through the activation
    /// already.
    fn z_gradient(&self, z: Id, after: After) -> Option<Id> {
        let value = match after {
            After::Activation(_, h) => h,
            _ => z,
        };
        self.gradients.get(&value).copied()
    }

    /// The gradient of a layer's input; through the activation that made the input, where there is one.
    fn linear_input(&mut self, layer: Layer, dz: Id, x: Id) {
        let below = self.activated.get(&x).copied();
        let (dx, adds) = self.gradient(x);
        self.steps.push(Step::LinearInput { layer, dz, below, dx, adds });
    }

    fn any(&self, names: &[String]) -> bool {
        names.iter().any(|name| (self.trainable)(name))
    }

    /// The memory of a value's gradient, and whether there is something in it already.
    fn gradient(&mut self, value: Id) -> (Id, bool) {
        if let Some(known) = self.gradients.get(&value) {
            return (*known, true);
        }
        let (label, bytes) = (format!("d.{}", self.values[value].label), self.values[value].bytes);
        let gradient = self.fresh(&label, bytes);
        self.gradients.insert(value, gradient);
        (gradient, false)
    }

    fn fresh(&mut self, label: &str, bytes: u64) -> Id {
        self.values.push(Value { label: label.to_owned(), bytes });
        self.values.len() - 1
    }
}

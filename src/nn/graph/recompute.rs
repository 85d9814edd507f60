//! Layers that make their activations again for the backward pass, instead of keeping them: less memory, the same bits.
//!
//! A layer is what makes the values of a module with a number: `encoder.layer.3`, `transformer.h.3`, `layers.3`. Values that a later
//! layer reads stay. All others are made again right before the first operation of the backward pass that reads one of them, by the
//! same operations. Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".

use super::memory::Memory;
use super::pass::Pass;
use super::value::{Home, Nodes, Value};
use crate::nn::ops::{Operate, Operation};
use crate::params::numbered_module;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

impl Pass {
    /// Layers that could make their activations again.
    pub fn layers(&self) -> usize {
        places(&self.nodes, &self.operations[..self.forward]).len()
    }

    /// The pass in which so many layers make their activations again, the lowest ones: what the highest would give up is needed at
    /// once.
    #[must_use]
    pub fn recomputing(self, layers: usize) -> Pass {
        if layers == 0 {
            return self;
        }
        let mut pass = self;
        let forward = pass.operations.drain(..pass.forward).collect::<Vec<_>>();
        let mut backward = std::mem::take(&mut pass.operations);
        let mut again: Vec<(usize, Vec<Operation>)> = Vec::new();
        for layer in places(&pass.nodes, &forward).into_iter().take(layers) {
            again.extend(Layer::of(&pass.nodes, &forward, layer).made_again(&mut pass.nodes, &mut backward));
        }
        pass.operations = forward;
        for (place, operation) in backward.into_iter().enumerate() {
            let here = again.iter_mut().filter(|(before, _)| *before == place);
            here.for_each(|(_, operations)| pass.operations.append(operations));
            pass.operations.push(operation);
        }
        pass.memory = Memory::of((&pass.nodes, pass.examples), &pass.operations, &pass.kept, &pass.inputs);
        pass
    }

    /// Multiplications of the pass's layers of matrices.
    pub fn products(&self) -> u64 {
        self.operations.iter().map(|operation| operation.products(&self.nodes, self.examples)).sum()
    }
}

/// Where each layer's operations are. What has no layer's name belongs to the layer that it stands in.
fn places(nodes: &Nodes, forward: &[Operation]) -> Vec<Range<usize>> {
    let mut places: Vec<(&str, Range<usize>)> = Vec::new();
    for (place, operation) in forward.iter().enumerate() {
        let written = operation.uses().writes;
        let Some(name) = written.iter().find_map(|value| layer_of(&nodes[nodes.owner(*value)].label)) else { continue };
        match places.last_mut().filter(|(last, _)| *last == name) {
            Some((_, range)) => range.end = place + 1,
            None => places.push((name, place..place + 1)),
        }
    }
    places.into_iter().map(|(_, range)| range).collect()
}

/// The module with a number that a value belongs to: `encoder.layer.3` of `encoder.layer.3.output.dense.z`.
fn layer_of(label: &str) -> Option<&str> {
    numbered_module(label).filter(|module| module.len() < label.len())
}

/// A layer, and who reads what it makes.
struct Layer<'a> {
    operations: &'a [Operation],
    /// What it makes for itself and for its own backward pass.
    own: HashSet<Value>,
}

impl Layer<'_> {
    fn of<'a>(nodes: &Nodes, forward: &'a [Operation], place: Range<usize>) -> Layer<'a> {
        let operations = &forward[place.clone()];
        let owners = |values: Vec<Value>| values.into_iter().map(|value| nodes.owner(value)).collect::<Vec<_>>();
        let made = operations.iter().flat_map(|operation| owners(operation.uses().writes));
        let above = &forward[place.end..];
        let read: HashSet<Value> = above.iter().flat_map(|operation| owners(operation.uses().reads)).collect();
        let is_own = |value: &Value| nodes[*value].home == Home::Shared && !read.contains(value);
        Layer { operations, own: made.filter(is_own).collect() }
    }

    /// The operations that make again what the backward pass reads, and the one that they come before; its reads are of what they
    /// make.
    fn made_again(self, nodes: &mut Nodes, backward: &mut [Operation]) -> Option<(usize, Vec<Operation>)> {
        let owner = |nodes: &Nodes, value: Value| nodes.owner(value);
        let reads = |nodes: &Nodes, operation: &Operation| {
            operation.uses().into_iter().any(|value| self.own.contains(&owner(nodes, value)))
        };
        let first = backward.iter().position(|operation| reads(nodes, operation))?;
        let used = backward[first..].iter().flat_map(|operation| operation.uses());
        let mut wanted: HashSet<Value> =
            used.map(|value| owner(nodes, value)).filter(|value| self.own.contains(value)).collect();
        let mut again: Vec<Operation> = Vec::new();
        let mut remade: HashSet<Value> = HashSet::new();
        for operation in self.operations.iter().rev() {
            let uses = operation.uses();
            let writes: Vec<Value> = uses.writes.iter().map(|value| owner(nodes, *value)).collect();
            if !writes.iter().any(|value| wanted.contains(value)) {
                continue;
            }
            remade.extend(writes);
            wanted.extend(uses.reads.iter().map(|value| owner(nodes, *value)).filter(|value| self.own.contains(value)));
            again.push(operation.clone());
        }
        again.reverse();
        let mut copies = Copies { remade, of: HashMap::new() };
        for operation in &mut again {
            copies.put_into(nodes, operation);
            operation.repeat();
        }
        // What a later layer reads is still there: only the layer's own values are the new ones to the backward pass.
        copies.remade = self.own;
        let Copies { remade, of } = &mut copies;
        of.retain(|value, _| remade.contains(&nodes.owner(*value)));
        backward[first..].iter_mut().for_each(|operation| copies.put_into(nodes, operation));
        Some((first, again))
    }
}

/// New values in the place of others.
struct Copies {
    /// Those that have one, by what owns them.
    remade: HashSet<Value>,
    of: HashMap<Value, Value>,
}

impl Copies {
    fn put_into(&mut self, nodes: &mut Nodes, operation: &mut Operation) {
        operation.each_value(&mut |value| *value = self.copy(nodes, *value));
    }

    fn copy(&mut self, nodes: &mut Nodes, value: Value) -> Value {
        if !self.remade.contains(&nodes.owner(value)) {
            return value;
        }
        if let Some(copy) = self.of.get(&value) {
            return *copy;
        }
        let node = nodes[value].clone();
        let home = match node.home {
            Home::Plane { of, number } => Home::Plane { of: self.copy(nodes, of), number },
            home => home,
        };
        let copy = nodes.add(node.label, node.form, home);
        self.of.insert(value, copy);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_named_by_its_number() {
        for (label, layer) in [
            ("encoder.layer.3.output.dense.z", Some("encoder.layer.3")),
            ("transformer.h.12.mlp.c_fc.h", Some("transformer.h.12")),
            ("layers.0.z", Some("layers.0")),
            ("dropout.7", None),
            ("embedded", None),
            ("classifier.z", None),
        ] {
            assert_eq!(layer_of(label), layer, "{label}");
        }
    }
}

//! Values in 16 bits: which they are, and what has to be cast where operations of both kinds meet.
//!
//! Each value of the pass is stored in 16 bits, but for logits and their gradients: whatever has a hand in a loss works in f32.
//! So do modules that a run names. Inputs of the batch are f32 too. Records (moments, log-sum-exps) are f32 always. What stays
//! behind the pass, or is given to it, is cast: it has the numbers that were stored in 16 bits.
//!
//! f16 loses small numbers: losses multiply their gradient by the batch's `loss_scale`.

use super::batch::LOSS_SCALE;
use super::memory::Memory;
use super::pass::Pass;
use super::value::{Form, Home, Nodes, Value};
use crate::engine::kernels::ValueStorage;
use crate::nn::MixedPrecision;
use crate::nn::ops::{Cast, Operate, Operation};
use std::collections::{HashMap, HashSet};

impl Pass {
    /// The pass with its values stored so. The last thing that is done to a pass.
    #[must_use]
    pub fn stored_in(self, precision: impl Into<MixedPrecision>) -> Pass {
        let precision = precision.into();
        if precision.values == ValueStorage::F32 {
            return self;
        }
        let Pass { nodes, operations, forward, inputs, kept, memory: _, examples, context, logits, trained, params } =
            self;
        let mut storing = Storing::of(nodes, &operations, &precision);
        let inputs: Vec<Value> = inputs.into_iter().map(|value| storing.written(value, Stored::Wide)).collect();
        let mut forward_end = 0;
        for (number, operation) in operations.into_iter().enumerate() {
            storing.take(operation);
            if number + 1 == forward {
                forward_end = storing.operations.len();
            }
        }
        let kept: Vec<Value> = kept.into_iter().map(|value| storing.read(value, Stored::Wide)).collect();
        let Storing { nodes, operations, .. } = storing;
        let memory = Memory::of((&nodes, examples), &operations, &kept, &inputs);
        let forward = forward_end;
        Pass { nodes, operations, forward, memory, examples, context, logits, inputs, kept, trained, params }
    }
}

/// In f32, or in 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stored {
    Wide,
    Narrow,
}

impl Stored {
    fn other(self) -> Stored {
        match self {
            Stored::Wide => Stored::Narrow,
            Stored::Narrow => Stored::Wide,
        }
    }
}

/// Operations as they are given other values.
struct Storing {
    nodes: Nodes,
    operations: Vec<Operation>,
    storage: ValueStorage,
    /// Values that are f32 alone: those of losses, and of modules that work in f32.
    exact: HashSet<Value>,
    /// The other form of a value: in f32 what is stored in 16 bits, or the other way round.
    others: HashMap<Value, Value>,
    /// What holds a value's numbers at this point of the pass.
    current: HashSet<(Value, Stored)>,
}

impl Storing {
    fn of(mut nodes: Nodes, operations: &[Operation], precision: &MixedPrecision) -> Storing {
        let storage = precision.values;
        let losses = operations.iter().filter(|operation| operation.is_loss());
        let of_losses = losses.flat_map(|operation| operation.uses());
        let of_modules = nodes.all().filter(|value| precision.is_wide(&nodes[*value].label));
        let exact: HashSet<Value> = of_losses.chain(of_modules).map(|value| nodes.owner(value)).collect();
        let mut current = HashSet::new();
        for value in nodes.all() {
            let owner = nodes.owner(value);
            if nodes[value].form.has_numbers() && nodes[owner].home == Home::Shared && !exact.contains(&owner) {
                nodes.store(value, storage);
            } else {
                current.insert((value, Stored::Wide));
            }
        }
        Storing { nodes, operations: Vec::new(), storage, exact, others: HashMap::new(), current }
    }

    /// Appends an operation, and before it the casts that it needs.
    fn take(&mut self, mut operation: Operation) {
        if self.storage == ValueStorage::F16 {
            let form = Form::Fixed { bytes: size_of::<f32>() as u64 };
            operation.scale_loss(&mut || self.nodes.add(LOSS_SCALE, form, Home::Input(LOSS_SCALE)));
        }
        let uses = operation.uses();
        let has_numbers = |value: &Value| self.nodes[*value].form.has_numbers();
        let is_exact = |value: &Value| self.exact.contains(&self.nodes.owner(*value)) && has_numbers(value);
        let numbers: HashSet<Value> = uses.clone().into_iter().filter(has_numbers).collect();
        let is_wide = operation.is_loss() || numbers.iter().any(is_exact);
        let wanted = if is_wide { Stored::Wide } else { Stored::Narrow };
        let mut places: HashMap<Value, Value> = HashMap::new();
        for value in uses.reads.into_iter().filter(|value| numbers.contains(value)) {
            places.insert(value, self.read(value, wanted));
        }
        for value in uses.writes.into_iter().filter(|value| numbers.contains(value)) {
            places.insert(value, self.written(value, wanted));
        }
        operation.each_value(&mut |value| *value = places.get(value).copied().unwrap_or(*value));
        self.operations.push(operation);
    }

    /// The value in this form, to be read: it is cast where it is not there.
    fn read(&mut self, value: Value, stored: Stored) -> Value {
        let owner = self.nodes.owner(value);
        if self.current.insert((owner, stored)) {
            let (x, y) = (self.place(owner, stored.other()), self.place(owner, stored));
            self.operations.push(Cast { x, y }.into());
        }
        self.place(value, stored)
    }

    /// The value in this form, to be written: the other one is old then.
    fn written(&mut self, value: Value, stored: Stored) -> Value {
        let owner = self.nodes.owner(value);
        self.current.remove(&(owner, stored.other()));
        self.current.insert((owner, stored));
        self.place(value, stored)
    }

    /// The value in this form, wherever its numbers are.
    fn place(&mut self, value: Value, stored: Stored) -> Value {
        let is_narrow = self.nodes[value].storage != ValueStorage::F32;
        if is_narrow == (stored == Stored::Narrow) {
            return value;
        }
        if let Some(other) = self.others.get(&value) {
            return *other;
        }
        let node = self.nodes[value].clone();
        let other = match node.home {
            Home::Plane { of, number } => {
                let of = self.place(of, stored);
                self.nodes.add(node.label, node.form, Home::Plane { of, number })
            }
            _ => self.nodes.shared(node.label, node.form),
        };
        self.nodes.store(other, if stored == Stored::Narrow { self.storage } else { ValueStorage::F32 });
        self.others.insert(value, other);
        other
    }
}

//! Layers of a model, frozen and thawed by ranges.

use super::Param;
use std::collections::HashMap;

/// A model's layers in order, and which of its parameters are frozen.
///
/// A layer is all parameters whose names share their part up to the first dot, in the order in which they first appear.
/// A range of layers goes from one index to another, both included and in either order. Negative indices count from the
/// end; indices outside the model are ignored. These are the *layer groups* of pytorch-accelerated's `ModelFreezer`.
///
/// ```
/// use gradus::params::{Layers, Param};
/// let names = ["embed.weight", "body.0.weight", "body.1.weight", "head.weight"];
/// let params: Vec<Param> = names.iter().map(|name| Param::new(*name, [1])).collect();
/// let mut layers = Layers::new(&params, |name| name == "body.1.weight"); // a norm, say: it trains all the time
/// layers.freeze(0, -2); // all but the head
/// assert_eq!(layers.frozen(), [0, 1]);
/// let thawed = layers.thaw(-2, -1); // from the last but one to the last
/// assert_eq!((thawed[0].layer, &thawed[0].params[..], layers.frozen()), (1, &[1][..], vec![0]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    layers: Vec<Layer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Layer {
    name: String,
    members: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    /// By place in the model.
    param: usize,
    is_frozen: bool,
    /// It is never frozen.
    is_kept: bool,
}

/// The parameters of a layer that were frozen or thawed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The layer, from 0.
    pub layer: usize,
    /// Its parameters, by place in the model; those that were so already are left out.
    pub params: Vec<usize>,
}

impl Layers {
    /// A model's layers, none of them frozen. `keeps` says by name which parameters are never frozen: those of
    /// normalization, as a rule.
    pub fn new(params: &[Param], keeps: impl Fn(&str) -> bool) -> Layers {
        let mut layers: Vec<Layer> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (param, Param { name, .. }) in params.iter().enumerate() {
            let member = Member { param, is_frozen: false, is_kept: keeps(name) };
            let of = name.split('.').next().unwrap_or(name);
            let place = *places.entry(of).or_insert(layers.len());
            match layers.get_mut(place) {
                Some(layer) => layer.members.push(member),
                None => layers.push(Layer { name: of.to_owned(), members: vec![member] }),
            }
        }
        Layers { layers }
    }

    /// The layers' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().map(|layer| layer.name.as_str())
    }

    /// For each layer whether any of its parameters is frozen.
    pub fn are_frozen(&self) -> impl Iterator<Item = bool> {
        self.layers.iter().map(|layer| layer.members.iter().any(|member| member.is_frozen))
    }

    /// The parameters that are frozen, by place in the model, layer by layer.
    pub fn frozen(&self) -> Vec<usize> {
        let members = self.layers.iter().flat_map(|layer| &layer.members);
        members.filter(|member| member.is_frozen).map(|member| member.param).collect()
    }

    /// Freezes a range of layers; returns what was not frozen before.
    pub fn freeze(&mut self, from: i64, to: i64) -> Vec<Changed> {
        self.set(from, to, true)
    }

    /// Thaws a range of layers; returns what was frozen before, for an optimizer to add.
    pub fn thaw(&mut self, from: i64, to: i64) -> Vec<Changed> {
        self.set(from, to, false)
    }

    fn set(&mut self, from: i64, to: i64, freeze: bool) -> Vec<Changed> {
        let count = self.layers.len() as i64;
        let place = |index: i64| if index < 0 { index.saturating_add(count) } else { index };
        let (first, last) = (place(from).min(place(to)), place(from).max(place(to)));
        let mut changed = Vec::new();
        for (place, layer) in self.layers.iter_mut().enumerate() {
            if !(first..=last).contains(&(place as i64)) {
                continue;
            }
            let others = layer.members.iter_mut().filter(|member| !member.is_kept && member.is_frozen != freeze);
            let params: Vec<usize> = others
                .map(|member| {
                    member.is_frozen = freeze;
                    member.param
                })
                .collect();
            if !params.is_empty() {
                changed.push(Changed { layer: place, params });
            }
        }
        changed
    }
}

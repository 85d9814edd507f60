//! The tilings of kernels that multiply matrices: registers, or tiles in workgroup memory, chosen for each size. The
//! fastest depends on the adapter: `measure::choices` measures.
//!
//! A choice never depends on the rows of a batch: a row has the same bits alone and among others, in training, in a
//! test and in a pass through a frozen trunk.

use super::Engine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Layers are classified by the powers of two next to their sizes, from the first to the last of these.
const CLASSES: (u32, u32) = (64, 4096);

/// What works on one tile of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Tiling {
    /// An invocation alone, 8 by 8, without workgroup memory: for processors.
    Registers,
    /// 8 by 8 invocations, 4 by 4 each: many workgroups, for small layers.
    Tiles32,
    /// 8 by 8 invocations, 8 by 8 each.
    Tiles64,
    /// 16 by 16 invocations, 8 by 8 each: the fewest bytes, for large layers.
    Tiles128,
    /// A subgroup makes 32 by 32 by cooperative matrices: only linear layers forward, x and weight rounded to f16, sums
    /// in f32. No measurement picks it; it must be asked for. It needs the feature `cooperative_matrices`, a device
    /// that the engine opens itself, and an adapter that has 16 by 16 by 16 and subgroups of one size; everything else
    /// has the usual tiling, and so do gradients, which exceed f16's range. It has never run on hardware.
    Cooperative,
}

/// The invocations that share a tile, and what each makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tile {
    /// Invocations along a side of the tile.
    pub side: u32,
    /// Quads of results that an invocation makes along a side.
    pub quads: u32,
}

impl Tile {
    /// Results along a side.
    pub fn edge(&self) -> u32 {
        4 * self.side * self.quads
    }

    /// Tiles that cover so many results.
    pub fn count(&self, down: u32, across: u32) -> u64 {
        u64::from(down.div_ceil(self.edge())) * u64::from(across.div_ceil(self.edge()))
    }

    /// Invocations of a workgroup.
    pub fn invocations(&self) -> u32 {
        self.side * self.side
    }

    /// Vec4s of workgroup memory for a turn of one operand: 16 numbers each along the edge, and a few between them.
    pub fn shared(&self) -> u32 {
        4 * self.edge() + 8
    }
}

impl Tiling {
    /// Those that a measurement chooses from: all that compute in f32.
    pub const ALL: [Tiling; 4] = [Tiling::Registers, Tiling::Tiles32, Tiling::Tiles64, Tiling::Tiles128];

    /// The tile that a workgroup shares and whose invocations each make a part of.
    pub fn tile(self) -> Option<Tile> {
        match self {
            Tiling::Registers | Tiling::Cooperative => None,
            Tiling::Tiles32 => Some(Tile { side: 8, quads: 1 }),
            Tiling::Tiles64 => Some(Tile { side: 8, quads: 2 }),
            Tiling::Tiles128 => Some(Tile { side: 16, quads: 2 }),
        }
    }

    /// Its name: `registers`, `tiles32`, …
    pub fn name(self) -> &'static str {
        match self {
            Tiling::Registers => "registers",
            Tiling::Tiles32 => "tiles32",
            Tiling::Tiles64 => "tiles64",
            Tiling::Tiles128 => "tiles128",
            Tiling::Cooperative => "cooperative",
        }
    }

    /// Whether the device has workgroups that large, or cooperative matrices.
    pub fn fits(self, engine: &Engine) -> bool {
        if self == Tiling::Cooperative {
            return engine.cooperative_subgroup().is_some();
        }
        let Some(tile) = self.tile() else { return true };
        engine.adapter().is_none_or(|adapter| {
            adapter.workgroup_invocations >= tile.invocations() && adapter.workgroup_bytes >= 2 * 16 * tile.shared()
        })
    }
}

/// A tiling for each kernel and size of a layer. Two engines with equal choices on one adapter give the same bits; other
/// choices may add up in another order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Choices {
    /// Of what is not among the chosen.
    pub otherwise: Tiling,
    /// By kernel and sizes, as [`key`](Choices::key) names them.
    #[serde(default)]
    pub chosen: BTreeMap<String, Tiling>,
    /// The tiling of kernels that are wrong in another on this adapter, before all other choices; by kernel.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub instead: BTreeMap<String, Tiling>,
}

impl Choices {
    /// One tiling for everything.
    pub fn all(otherwise: Tiling) -> Choices {
        Choices { otherwise, chosen: BTreeMap::new(), instead: BTreeMap::new() }
    }

    /// Reads the name of one tiling for everything: `registers`, or `tiles`, which are those of 64, or `tiles32`, …,
    /// or `cooperative`.
    pub fn parse(text: &str) -> Option<Choices> {
        let name = if text == "tiles" { "tiles64" } else { text };
        let mut tilings = Tiling::ALL.into_iter().chain([Tiling::Cooperative]);
        tilings.find(|tiling| tiling.name() == name).map(Choices::all)
    }

    /// The sizes that classify layers.
    pub fn classes() -> impl Iterator<Item = u32> {
        let (first, last) = CLASSES;
        std::iter::successors(Some(first), move |size| (*size < last).then(|| 2 * size))
    }

    /// The class of a layer's size: the power of two next to it, within the classes there are.
    pub fn class(size: u32) -> u32 {
        let (first, last) = CLASSES;
        let size = size.clamp(first, last);
        1 << f64::from(size).log2().round() as u32
    }

    /// The name of a kernel's layer: the classes of its inputs and outputs.
    pub fn key(kernel: &str, inputs: u32, outputs: u32) -> String {
        format!("{kernel} {} x {}", Choices::class(inputs), Choices::class(outputs))
    }

    /// What is chosen for a kernel's layer.
    pub fn tiling(&self, kernel: &str, inputs: u32, outputs: u32) -> Tiling {
        let chosen = || self.chosen.get(&Choices::key(kernel, inputs, outputs)).copied();
        self.instead.get(kernel).copied().or_else(chosen).unwrap_or(self.otherwise)
    }
}

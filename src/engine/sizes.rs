//! The default sizes of dispatches: one table for processors, one for GPUs. Comments where a size is used say why.

use super::Tiling;

/// Invocations of workgroups, how many of them share a row or a column, and how products are tiled. An engine has those of
/// what its adapter is; [`Engine::sized`](super::Engine::sized) gives it others, so that a test runs a GPU's on a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sizes {
    /// A workgroup of the optimizer's kernels, which does a chunk.
    pub chunk: u32,
    /// A workgroup of the kernels that multiply matrices by registers.
    pub products: u32,
    /// A workgroup of attention by registers: on chip there is room for the sums of few.
    pub runs: u32,
    /// A workgroup of the kernels that reduce along rows, and its lanes to a row.
    pub rows: [u32; 2],
    /// A workgroup of those that reduce along columns, and its lanes to a quad of columns.
    pub columns: [u32; 2],
    /// A workgroup of those whose invocations make a vec4 each and know nothing of each other.
    pub elements: u32,
    /// The workgroup that adds up a batch's verdicts.
    pub tally: u32,
    /// A workgroup that gathers a batch.
    pub gather: u32,
    /// A workgroup that copies, and the vec4s of each of its invocations.
    pub copy: [u32; 2],
    /// How products are tiled unless [`Choices`](super::Choices) say otherwise.
    pub tiling: Tiling,
}

impl Sizes {
    /// An invocation is a lane of a vector register: few of them, each with much work.
    pub const PROCESSOR: Sizes = Sizes {
        chunk: 8,
        products: 8,
        runs: 8,
        rows: [8, 1],
        columns: [8, 1],
        elements: 256,
        tally: 8,
        gather: 8,
        copy: [8, 32],
        tiling: Tiling::Registers,
    };

    /// Many invocations, which share rows and tiles.
    pub const GPU: Sizes = Sizes {
        chunk: 256,
        products: 64,
        runs: 32,
        rows: [128, 32],
        columns: [128, 16],
        elements: 256,
        tally: 256,
        gather: 64,
        copy: [256, 4],
        tiling: Tiling::Tiles64,
    };

    /// What is likely best if nobody has measured.
    pub(super) fn likely(is_software: bool) -> Sizes {
        if is_software { Sizes::PROCESSOR } else { Sizes::GPU }
    }
}

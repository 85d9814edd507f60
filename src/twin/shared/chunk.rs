//! Twin of `shaders/shared/chunk.wgsl`.

use bytemuck::{Pod, Zeroable};
use std::ops::Range;

/// A stretch of one tensor in the work list; offsets and length in elements.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Chunk {
    pub param: u32,
    pub grad: u32,
    pub state: u32,
    pub length: u32,
    pub tensor: u32,
    pub group: u32,
    pub number: u32,
    pub entry: u32,
}

/// A tensor of the step: the place of its record, its group, and the start of its gradient.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct TensorEntry {
    pub record: u32,
    pub group: u32,
    pub grad: u32,
}

/// A tensor whose sums are added up: the place of its record, and which places of chunks are its own.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Fold {
    pub record: u32,
    pub first: u32,
    pub count: u32,
}

impl Chunk {
    /// Its elements of the moments, and of the average.
    pub fn of_state(&self) -> Range<usize> {
        stretch(self.state, self.length)
    }

    /// Its elements of the parameters.
    pub fn of_params(&self) -> Range<usize> {
        stretch(self.param, self.length)
    }

    /// Its elements of the gradients, where its tensor's begins at element `first`.
    pub fn of_grads(&self, first: u32) -> Range<usize> {
        stretch(first + self.grad, self.length)
    }
}

fn stretch(first: u32, length: u32) -> Range<usize> {
    first as usize..first as usize + length as usize
}

/// The part of the work list that one dispatch handles.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Segment {
    pub first: u32,
    pub count: u32,
    pub first_partial: u32,
    pub partials: u32,
    pub pad0: u32,
    pub place: u32,
    pub seed: u32,
    pub zero: u32,
}

impl Segment {
    /// The chunks of this segment.
    pub fn of<'a>(&self, chunks: &'a [Chunk]) -> &'a [Chunk] {
        &chunks[self.first as usize..][..self.count as usize]
    }

    /// The first chunk of a partial sum with these bounds, then the first and one past the last of those in this segment.
    pub fn chunks_of(&self, partial: usize, bounds: &[u32]) -> [u32; 3] {
        let (start, end) = (bounds[partial], bounds[partial + 1]);
        [start, start.max(self.first), end.min(self.first + self.count)]
    }
}

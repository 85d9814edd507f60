//! Squares of gradients that their kernels have written, for a norm that does not read the gradients again.

use super::Error;
use super::parameters::index_of;
use crate::engine::layout::Squares;
use crate::engine::{Engine, Piece, Range};
use crate::params::{self, Param};
use std::collections::BTreeMap;

const BYTES: u64 = size_of::<Squares>() as u64;

/// Where the squares of some tensors' gradients lie.
#[derive(Debug, Default)]
pub(crate) struct Squared {
    /// The buffers.
    pages: Vec<Range>,
    /// The partial sums of each tensor.
    pieces: BTreeMap<usize, Piece>,
}

impl Squared {
    pub(crate) fn new(params: &[Param], squares: &[(String, Range)]) -> Result<Squared, Error> {
        let mut squared = Squared::default();
        for (name, range) in squares {
            let tensor = index_of(params, name)?;
            range.check()?;
            if !range.offset.is_multiple_of(BYTES) || !range.bytes.is_multiple_of(BYTES) {
                let reason = format!("the partial sums of its squares are not whole: {range:?}");
                return Err(Error::Unsuited { param: name.clone(), reason });
            }
            let known = squared.pages.iter().position(|page| page.buffer.same(&range.buffer));
            let page = known.unwrap_or(squared.pages.len());
            if known.is_none() {
                squared.pages.push(range.buffer.all());
            }
            let piece = Piece { page, offset: range.offset / BYTES, elements: range.bytes / BYTES };
            if squared.pieces.insert(tensor, piece).is_some() {
                return Err(params::Error::NameTwice { what: "parameter", name: name.clone() }.into());
            }
        }
        Ok(squared)
    }

    pub(crate) fn pages(&self) -> &[Range] {
        &self.pages
    }

    /// Where a tensor's partial sums lie.
    pub(crate) fn piece(&self, tensor: usize) -> Option<Piece> {
        self.pieces.get(&tensor).copied()
    }

    /// Writes the squares of a gradient made on the host: all in the first partial sum.
    pub(crate) fn upload(&self, engine: &Engine, tensor: usize, gradient: &[f32]) -> Result<(), Error> {
        let Some(piece) = self.piece(tensor) else { return Ok(()) };
        let mut squares = vec![Squares::default(); piece.elements as usize];
        squares[0] = Squares::of(gradient);
        Ok(engine.write(&self.pages[piece.page].buffer, piece.offset * BYTES, &squares)?)
    }
}

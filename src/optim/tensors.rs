//! Where tensors lie: the pages, and the pieces of each.

use super::Error;
use super::arena::Stream;
use super::external::{Array, Mode};
use super::work::CHUNK_ELEMENTS;
use crate::engine::layout::Code;
use crate::engine::{Engine, Piece, Range};
use crate::params::Storage;

/// The pages that some tensors lie in, and each tensor's pieces in them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tensors {
    pub(crate) pages: Vec<Range>,
    /// What lies in each page.
    pub(crate) storages: Vec<Storage>,
    pub(crate) pieces: Vec<Vec<Piece>>,
}

impl Tensors {
    /// Those of a caller's. In arena mode a page is a whole buffer; in place each array has pages of its own, which begin at
    /// the aligned offset below it, and an array over the binding limit is cut at chunks.
    pub(crate) fn of<'a>(
        engine: &Engine,
        arrays: impl Iterator<Item = Array<'a>>,
        mode: Mode,
    ) -> Result<Tensors, Error> {
        let mut tensors = Tensors::default();
        for array in arrays {
            let pieces = match mode {
                Mode::Arena => vec![tensors.in_whole_buffer(engine, &array)?],
                Mode::InPlace => tensors.in_pages(engine, array.range),
            };
            tensors.pieces.push(pieces);
        }
        Ok(tensors)
    }

    /// A tensor's stream, of what is stored so.
    pub(crate) fn stream(&self, tensor: usize, storage: Storage) -> Stream<'_> {
        Stream { pieces: &self.pieces[tensor], pages: &self.pages, storage, code: Code::Signed }
    }

    /// Another page, of what is stored so; its number.
    pub(crate) fn add(&mut self, page: Range, storage: Storage) -> usize {
        self.pages.push(page);
        self.storages.push(storage);
        self.pages.len() - 1
    }

    fn in_whole_buffer(&mut self, engine: &Engine, array: &Array<'_>) -> Result<Piece, Error> {
        let Array { name, range, storage, elements } = *array;
        if range.buffer.bytes() > engine.page_bytes() {
            let reason = format!(
                "{:?} is over the device's binding limit of {} bytes; use several buffers, or Mode::InPlace",
                range.buffer,
                engine.page_bytes()
            );
            return Err(Error::Unsuited { param: name.to_owned(), reason });
        }
        let mut known = self.pages.iter().zip(&self.storages);
        let known = known.position(|(page, known)| page.buffer.same(&range.buffer) && *known == storage);
        let page = known.unwrap_or_else(|| self.add(range.buffer.all(), storage));
        Ok(Piece { page, offset: range.offset / storage.bytes(1), elements })
    }

    fn in_pages(&mut self, engine: &Engine, range: &Range) -> Vec<Piece> {
        let alignment = engine.offset_alignment_bytes();
        let chunk_bytes = CHUNK_ELEMENTS * 4;
        let most = (engine.page_bytes() - alignment) / chunk_bytes * chunk_bytes;
        let mut pieces = Vec::new();
        let mut done = 0;
        while done < range.bytes {
            let bytes = (range.bytes - done).min(most);
            let at = range.offset + done;
            let offset = at / alignment * alignment;
            let page = Range { buffer: range.buffer.clone(), offset, bytes: at - offset + bytes };
            let page = self.add(page, Storage::F32);
            pieces.push(Piece { page, offset: (at - offset) / 4, elements: bytes / 4 });
            done += bytes;
        }
        pieces
    }
}

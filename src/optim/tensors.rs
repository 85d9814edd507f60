//! Where tensors lie: the pages, and the pieces of each.

use super::Error;
use super::arena::Stream;
use super::work::CHUNK_ELEMENTS;
use crate::engine::layout::Code;
use crate::engine::{Engine, Piece, Range};
use crate::params::Storage;

/// Bytes of a vec4 of f32; of a vec2 that holds four bf16 it is twice as many.
pub(crate) const QUAD_BYTES: u64 = 16;

/// A caller's array: its name, where it lies, and what is there.
pub(crate) struct Array<'a> {
    pub(crate) name: &'a str,
    pub(crate) range: &'a Range,
    pub(crate) storage: Storage,
    pub(crate) elements: u64,
    /// Whether kernels take it as vec4s alone.
    pub(crate) in_quads: bool,
}

/// The pages that some tensors lie in, and each tensor's pieces in them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tensors {
    pub(crate) pages: Vec<Range>,
    /// What lies in each page.
    pub(crate) storages: Vec<Storage>,
    /// Those of a tensor that is not there are none.
    pub(crate) pieces: Vec<Vec<Piece>>,
}

impl Tensors {
    /// Those of a caller's, where there are any. A page is a whole buffer, if the device can bind that; else each array has
    /// pages of its own, which begin at the aligned offset below it and are cut at chunks.
    ///
    /// # Errors
    /// [`Error::Unsuited`] for bf16 in a buffer over the binding limit.
    pub(crate) fn of<'a>(engine: &Engine, arrays: impl Iterator<Item = Option<Array<'a>>>) -> Result<Tensors, Error> {
        let mut tensors = Tensors::default();
        for array in arrays {
            let pieces = match array {
                None => Vec::new(),
                Some(array) if array.range.buffer.bytes() <= engine.page_bytes() => {
                    vec![tensors.in_whole_buffer(&array)]
                }
                Some(array) if array.storage == Storage::F32 => tensors.in_pages(engine, array.range),
                Some(array) => return Err(too_large(engine, &array)),
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

    /// Whether a tensor's elements can be read as vec4s, its first one first.
    pub(crate) fn is_in_quads(&self, tensor: usize) -> bool {
        self.pieces[tensor].iter().all(|piece| piece.offset.is_multiple_of(4)) && self.ends_in_quads(tensor)
    }

    /// Whether the page goes on to the end of the vec4 that holds a tensor's last element.
    pub(crate) fn ends_in_quads(&self, tensor: usize) -> bool {
        self.pieces[tensor].iter().all(|piece| {
            let end = (piece.offset + piece.elements).next_multiple_of(4);
            self.storages[piece.page].bytes(end) <= self.pages[piece.page].bytes
        })
    }

    fn in_whole_buffer(&mut self, array: &Array<'_>) -> Piece {
        let Array { range, storage, elements, .. } = *array;
        let mut known = self.pages.iter().zip(&self.storages);
        let known = known.position(|(page, known)| page.buffer.same(&range.buffer) && *known == storage);
        let page = known.unwrap_or_else(|| self.add(range.buffer.all(), storage));
        Piece { page, offset: range.offset / storage.bytes(1), elements }
    }

    fn in_pages(&mut self, engine: &Engine, range: &Range) -> Vec<Piece> {
        let alignment = engine.offset_alignment_bytes();
        let most = most_of_a_page(engine);
        let mut pieces = Vec::new();
        let mut done = 0;
        while done < range.bytes {
            let bytes = (range.bytes - done).min(most);
            let at = range.offset + done;
            let offset = at / alignment * alignment;
            // Up to the end of the last vec4, where the buffer has it.
            let end = (at + bytes).next_multiple_of(QUAD_BYTES).min(range.buffer.bytes());
            let page = Range { buffer: range.buffer.clone(), offset, bytes: end - offset };
            let page = self.add(page, Storage::F32);
            pieces.push(Piece { page, offset: (at - offset) / 4, elements: bytes / 4 });
            done += bytes;
        }
        pieces
    }
}

/// Bytes of an array that a page holds at least, wherever it begins.
pub(crate) fn most_of_a_page(engine: &Engine) -> u64 {
    let chunk_bytes = CHUNK_ELEMENTS * 4;
    (engine.page_bytes() - engine.offset_alignment_bytes() - QUAD_BYTES) / chunk_bytes * chunk_bytes
}

fn too_large(engine: &Engine, array: &Array<'_>) -> Error {
    let (buffer, limit) = (&array.range.buffer, engine.page_bytes());
    let reason =
        format!("{buffer:?} holds bf16 and is over the device's binding limit of {limit} bytes: use several buffers");
    Error::Unsuited { param: array.name.to_owned(), reason }
}

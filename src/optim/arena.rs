//! Streams side by side in pages: the moments of tensors that are stored alike, or the gradients.

use super::Error;
use super::work::{CHUNK_ELEMENTS, Part};
use crate::engine::layout::{BLOCK, Block, CODED, Code};
use crate::engine::{self, ALIGNMENT_ELEMENTS, Engine, Piece, Placement, Range};
use crate::params::Storage;
use half::bf16;

/// A page is as many elements long in every storage: as many as the device can bind in f32.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arena {
    pub(crate) storage: Storage,
    /// Of what lies beside it, with tensors at the same places.
    beside: Storage,
    /// Tensors, in thaw order.
    tensors: Vec<usize>,
    placement: Placement,
    /// The pages of each stream, whole.
    streams: Vec<Vec<Range>>,
}

/// Where one tensor's numbers in a stream lie: its pieces, and the pages that they are in.
#[derive(Clone, Copy)]
pub(crate) struct Stream<'a> {
    pub(crate) pieces: &'a [Piece],
    pub(crate) pages: &'a [Range],
    pub(crate) storage: Storage,
    /// What bytes stand for.
    pub(crate) code: Code,
}

/// Elements between boundaries where a tensor may start: 256 bytes, where a kernel may bind it, or a block.
pub(crate) fn alignment(storage: Storage) -> u64 {
    match storage {
        Storage::F32 => ALIGNMENT_ELEMENTS,
        Storage::Bf16 => 2 * ALIGNMENT_ELEMENTS,
        Storage::Int8 => storage.block_elements(),
    }
}

impl Arena {
    /// An arena that holds nothing yet.
    pub(crate) fn empty(storage: Storage) -> Arena {
        Arena::beside(storage, storage)
    }

    /// The same, with tensors where an arena of another storage has them.
    pub(crate) fn beside(storage: Storage, beside: Storage) -> Arena {
        Arena { storage, beside, ..Arena::default() }
    }

    /// Where a tensor's elements lie, if they do.
    pub(crate) fn pieces(&self, tensor: usize) -> Option<&[Piece]> {
        let place = self.tensors.iter().position(|other| *other == tensor)?;
        Some(&self.placement.pieces[place])
    }

    /// A tensor's streams, in order; none where it has none.
    pub(crate) fn streams(&self, tensor: usize) -> impl Iterator<Item = Stream<'_>> {
        let found = self.pieces(tensor).into_iter();
        found.flat_map(move |pieces| {
            self.streams.iter().enumerate().map(move |(place, pages)| {
                // Of moments the first alone has a sign.
                let code = if place == 0 { Code::Signed } else { Code::Unsigned };
                Stream { pieces, pages, storage: self.storage, code }
            })
        })
    }

    /// The pages of a stream; none where there is no such stream.
    pub(crate) fn pages(&self, stream: usize) -> &[Range] {
        self.streams.get(stream).map_or(&[], Vec::as_slice)
    }

    /// One page of each stream.
    pub(crate) fn page(&self, page: usize) -> Vec<Range> {
        self.streams.iter().map(|pages| pages[page].clone()).collect()
    }

    /// Bytes of all streams.
    pub(crate) fn bytes(&self) -> u64 {
        self.streams.iter().flatten().map(|page| page.bytes).sum()
    }

    /// The arena laid out anew for these tensors, with the parts of each, and streams of these names: pages that stay as
    /// they are are kept, and what is new is zero. What moves has still to be copied. Each part starts at a boundary.
    pub(crate) fn relaid(
        &self,
        engine: &Engine,
        tensors: &[(usize, Vec<Part>)],
        names: &[String],
        page_bytes: u64,
    ) -> Result<Arena, Error> {
        let lengths: Vec<u64> = tensors.iter().flat_map(|(_, parts)| parts).map(|part| part.elements).collect();
        let alignment = alignment(self.storage).max(alignment(self.beside));
        let Placement { pieces, pages } = engine::place_at(alignment, &lengths, page_bytes, CHUNK_ELEMENTS);
        let mut of_parts = pieces.into_iter();
        let of_tensor = |(_, parts): &(usize, Vec<Part>)| of_parts.by_ref().take(parts.len()).flatten().collect();
        let placement = Placement { pieces: tensors.iter().map(of_tensor).collect(), pages };
        let tensors: Vec<usize> = tensors.iter().map(|(tensor, _)| *tensor).collect();
        // Placing is the same for the same beginning: leading pages of the same size hold the same pieces.
        let same = |(old, new): &(&u64, &u64)| old == new;
        let kept = match tensors.starts_with(&self.tensors) {
            true => self.placement.pages.iter().zip(&placement.pages).take_while(same).count(),
            false => 0,
        };
        let stream = |(place, name): (usize, &String)| {
            let old = self.streams.get(place).map_or(&[][..], |old| &old[..kept.min(old.len())]);
            let mut pages = old.to_vec();
            for (number, elements) in placement.pages.iter().enumerate().skip(old.len()) {
                let bytes = self.storage.bytes(*elements);
                pages.push(engine.buffer(&format!("{name}.{number}"), bytes)?.all());
            }
            Ok::<_, Error>(pages)
        };
        let streams = names.iter().enumerate().map(stream).collect::<Result<_, _>>()?;
        Ok(Arena { storage: self.storage, beside: self.beside, tensors, placement, streams })
    }

    /// What has to be copied for `to`, which this one was laid out anew as, to hold the same.
    pub(crate) fn copies_to(&self, to: &Arena) -> Vec<(Range, Range)> {
        let both = to.tensors.iter().flat_map(|tensor| self.streams(*tensor).zip(to.streams(*tensor)));
        let copies = both.flat_map(|(old, new)| old.copies_to(&new));
        copies.filter(|(from, to)| !from.buffer.same(&to.buffer)).collect()
    }
}

impl Stream<'_> {
    /// Where its pieces lie: whole blocks, and so the padding behind the last element too.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range> {
        self.pieces.iter().map(|piece| self.range(piece))
    }

    /// Bytes of its elements; without padding, where each has its own.
    pub(crate) fn bytes(&self) -> u64 {
        match self.storage {
            Storage::F32 | Storage::Bf16 => self.storage.bytes(self.elements()),
            Storage::Int8 => self.storage.bytes(self.elements().next_multiple_of(self.storage.block_elements())),
        }
    }

    /// Its elements.
    pub(crate) fn elements(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.elements).sum()
    }

    /// Copies of its elements to where they are to lie in `to`, which is stored alike.
    pub(crate) fn copies_to(&self, to: &Stream<'_>) -> Vec<(Range, Range)> {
        let cuts = common_cuts(self.pieces, to.pieces).into_iter();
        cuts.map(|(old, new)| (self.range(&old), to.range(&new))).collect()
    }

    /// Writes its elements.
    pub(crate) fn upload(&self, engine: &Engine, values: &[f32]) -> Result<(), Error> {
        let mut rest = values;
        for piece in self.pieces {
            let (these, after) = rest.split_at(piece.elements as usize);
            let range = self.range(piece);
            engine.write(&range.buffer, range.offset, &self.stored(these))?;
            rest = after;
        }
        Ok(())
    }

    /// Elements as they are stored, widened.
    pub(crate) fn widened(&self, bytes: &[u8]) -> Vec<f32> {
        match self.storage {
            Storage::F32 => bytemuck::pod_collect_to_vec(bytes),
            Storage::Bf16 => bytes.as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
            Storage::Int8 => {
                let blocks: Vec<Block> = bytemuck::pod_collect_to_vec(bytes);
                let numbers = |block: &Block| {
                    (0..BLOCK / CODED).flat_map(|place| block.numbers(place, self.code)).collect::<Vec<_>>()
                };
                blocks.iter().flat_map(numbers).take(self.elements() as usize).collect()
            }
        }
    }

    fn range(&self, piece: &Piece) -> Range {
        let Range { buffer, offset, .. } = &self.pages[piece.page];
        let bytes = self.storage.bytes(piece.elements.next_multiple_of(self.storage.block_elements()));
        Range { buffer: buffer.clone(), offset: offset + self.storage.bytes(piece.offset), bytes }
    }

    /// Values as they are stored, in whole blocks.
    fn stored(&self, values: &[f32]) -> Vec<u8> {
        match self.storage {
            Storage::F32 => bytemuck::cast_slice(values).to_vec(),
            Storage::Bf16 => {
                let mut bytes: Vec<u8> = values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect();
                bytes.resize(bytes.len().next_multiple_of(4), 0);
                bytes
            }
            Storage::Int8 => bytemuck::cast_slice(&Block::nearest(values, self.code)).to_vec(),
        }
    }
}

/// Two ways of cutting the same elements, cut where either is cut.
fn common_cuts(a: &[Piece], b: &[Piece]) -> Vec<(Piece, Piece)> {
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    let mut cuts = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        let elements = a[i].elements.min(b[j].elements);
        cuts.push((Piece { elements, ..a[i] }, Piece { elements, ..b[j] }));
        for (pieces, at) in [(&mut a, &mut i), (&mut b, &mut j)] {
            pieces[*at].offset += elements;
            pieces[*at].elements -= elements;
            if pieces[*at].elements == 0 {
                *at += 1;
            }
        }
    }
    cuts.retain(|(piece, _)| piece.elements > 0);
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_of_both_sides_meet() {
        let piece = |page, offset, elements| Piece { page, offset, elements };
        let cuts = common_cuts(&[piece(0, 64, 100), piece(1, 0, 28)], &[piece(0, 0, 128)]);
        let expected = [(piece(0, 64, 100), piece(0, 0, 100)), (piece(1, 0, 28), piece(0, 100, 28))];
        assert_eq!(cuts, expected);
    }
}

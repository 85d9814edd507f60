//! The work list: the tensors of a step, cut into chunks, and the segments that share their bound pages.

use super::folds::folds;
use crate::engine::layout::{Chunk, Fold, PARTIALS, TensorEntry};
use crate::engine::{Error, Piece, count, counted};
use std::ops::Range;

/// Elements of a chunk: the unit of a workgroup's work and of the norm's fixed reduction. A multiple of 64.
///
/// Time of a step on software Vulkan against 4096, medians of 15 pairs, 101 tensors and one tensor: 1024 1.04 and 1.03,
/// 2048 1.04 and 0.90 (in noise), 8192 1.01 and 1.00, 16384 1.01 and 0.98. Larger ones would leave a GPU short of
/// workgroups.
pub(crate) const CHUNK_ELEMENTS: u64 = 4096;

/// Most partial sums of the squares that kernels have written; the norm has the rest.
const FOLDED: usize = PARTIALS / 4;

/// Elements of a tensor, one after the other, that one kernel updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) elements: u64,
    /// Whether its parameters share a vec4 with what is not theirs: then they are bound as single floats.
    pub(crate) has_single_params: bool,
}

/// How a kernel takes parameters and gradients: as vec4s, or as single floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Floats {
    #[default]
    Quads,
    SingleGrads,
    Singles,
}

/// A tensor that takes part, and where its streams lie. Pieces are cut at multiples of a chunk from the beginning of a part.
#[derive(Clone, Copy)]
pub(crate) struct Tensor<'a> {
    /// The place of its record in the control block.
    pub(crate) number: usize,
    pub(crate) group: usize,
    pub(crate) elements: u64,
    /// What the update makes of it, in order.
    pub(crate) parts: &'a [Part],
    pub(crate) param: &'a [Piece],
    pub(crate) grad: &'a [Piece],
    pub(crate) state: &'a [Piece],
    /// Which arena the state's pages are of.
    pub(crate) arena: usize,
    /// Where its gradient begins, in elements of its page, if it may move: then chunks count from there.
    pub(crate) grad_base: u64,
    /// Whether its gradient is bound as single floats.
    pub(crate) has_single_grads: bool,
    /// Whether its rule needs sums over it.
    pub(crate) has_sums: bool,
    /// Rows and columns, where its rule looks at them.
    pub(crate) matrix: Option<[u64; 2]>,
    /// Where the squares of its gradient lie, in partial sums, if a kernel writes them.
    pub(crate) squares: Option<Piece>,
    /// Which gradients its own are clipped together with.
    pub(crate) set: usize,
    /// Whether the norm counts tensors: then each has one partial sum.
    pub(crate) is_counted: bool,
}

/// The pages that a chunk's streams lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pages {
    /// First, so that one barrier stands between the kinds.
    pub(crate) floats: Floats,
    pub(crate) arena: usize,
    pub(crate) param: usize,
    pub(crate) grad: usize,
    pub(crate) state: usize,
}

/// Consecutive chunks that one dispatch handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) pages: Pages,
    pub(crate) chunks: Range<u32>,
    pub(crate) elements: u64,
}

/// Chunks that a stage reduces to partial sums, in the tensors' own order.
#[derive(Debug, Default)]
pub(crate) struct Reduction {
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) segments: Vec<Segment>,
    /// The first chunk of each partial sum, and the end of the last.
    pub(crate) bounds: Vec<u32>,
    /// The partial sums of each set of gradients that are clipped together.
    pub(crate) of_sets: Vec<(usize, Range<u32>)>,
}

/// Chunks in two orders: the norm follows the tensors' own order, so that its bits do not depend on paging; the update
/// brings the chunks of one set of pages together, so that there is one dispatch for each set in use.
#[derive(Debug, Default)]
pub(crate) struct WorkList {
    /// Of the gradients that have to be read.
    pub(crate) norm: Reduction,
    /// Of the squares of the others; `grad` is a place among them.
    pub(crate) fold: Reduction,
    pub(crate) update_chunks: Vec<Chunk>,
    pub(crate) update_segments: Vec<Segment>,
    pub(crate) tensors: Vec<TensorEntry>,
    /// The tensors whose rules need sums over them.
    pub(crate) folds: Vec<Fold>,
    /// The places of their chunks in the update's order, tensor by tensor, each in its own order.
    pub(crate) summed: Vec<u32>,
}

impl WorkList {
    /// # Errors
    /// [`Error::TooMany`] for what kernels cannot count.
    pub(crate) fn new(tensors: &[Tensor<'_>]) -> Result<WorkList, Error> {
        let mut placed = Vec::new();
        for (entry, tensor) in tensors.iter().enumerate() {
            part_chunks(entry, tensor, &mut placed)?;
        }
        let numbered = || tensors.iter().enumerate();
        let squares = numbered().filter_map(|(entry, tensor)| {
            let grad = std::slice::from_ref(tensor.squares.as_ref()?);
            let elements = grad[0].elements;
            Some((entry, Tensor { elements, param: &[], grad, grad_base: 0, state: &[], ..*tensor }))
        });
        let fold = Reduction::new(squares.collect(), FOLDED)?;
        let read = numbered().filter(|(_, tensor)| tensor.squares.is_none()).map(|(entry, tensor)| (entry, *tensor));
        let norm = Reduction::new(read.collect(), PARTIALS - fold.partials() as usize)?;
        placed.sort_by_key(|(pages, _)| *pages);
        let update_segments = segments(&placed, |pages| pages)?;
        let update_chunks: Vec<Chunk> = placed.iter().map(|(_, chunk)| *chunk).collect();
        let (folds, summed) = folds(&update_chunks, |chunk| tensors[chunk.entry as usize].has_sums)?;
        let entry = |tensor: &Tensor<'_>| {
            let (record, group) = (count("tensors", tensor.number)?, count("groups", tensor.group)?);
            Ok(TensorEntry { record, group, grad: count("elements of a page", tensor.grad_base)? })
        };
        Ok(WorkList {
            norm,
            fold,
            update_chunks,
            update_segments,
            tensors: tensors.iter().map(entry).collect::<Result<_, Error>>()?,
            folds,
            summed,
        })
    }

    /// Partial sums of both reductions.
    pub(crate) fn partials(&self) -> u32 {
        self.norm.partials() + self.fold.partials()
    }

    /// Elements of the chunks of a segment of the update that `is_meant` keeps.
    pub(crate) fn elements(&self, segment: &Segment, is_meant: impl Fn(&Chunk) -> bool) -> u64 {
        let chunks = &self.update_chunks[segment.chunks.start as usize..segment.chunks.end as usize];
        chunks.iter().filter(|chunk| is_meant(chunk)).map(|chunk| u64::from(chunk.length)).sum()
    }

    /// The sum of what `of` says of each chunk of a segment of the update.
    pub(crate) fn sum(&self, segment: &Segment, of: impl Fn(&Chunk) -> u64) -> u64 {
        let chunks = &self.update_chunks[segment.chunks.start as usize..segment.chunks.end as usize];
        chunks.iter().map(of).sum()
    }
}

impl Part {
    /// All of a tensor, as vec4s.
    pub(crate) fn whole(elements: u64) -> [Part; 1] {
        [Part { elements, has_single_params: false }]
    }
}

impl Reduction {
    /// Of tensors with their places in the list. What is clipped together lies together.
    fn new(mut tensors: Vec<(usize, Tensor<'_>)>, most_partials: usize) -> Result<Reduction, Error> {
        tensors.sort_by_key(|(_, tensor)| tensor.set);
        let (mut placed, mut is_counted) = (Vec::new(), false);
        let mut sets: Vec<(usize, u64)> = Vec::new();
        for (entry, tensor) in tensors {
            let chunks = tensor.elements.div_ceil(CHUNK_ELEMENTS);
            match sets.last_mut() {
                Some((set, before)) if *set == tensor.set && !tensor.is_counted => *before += chunks,
                _ => sets.push((tensor.set, chunks)),
            }
            is_counted |= tensor.is_counted;
            for (number, start) in (0..tensor.elements).step_by(CHUNK_ELEMENTS as usize).enumerate() {
                placed.push(chunk_of(entry, &tensor, number, start, tensor.elements)?);
            }
        }
        let alone = |grad| Pages { floats: Floats::Quads, arena: 0, param: 0, grad, state: 0 };
        let segments = segments(&placed, |pages| alone(pages.grad))?;
        let chunks: Vec<Chunk> = placed.into_iter().map(|(_, chunk)| chunk).collect();
        count("chunks", chunks.len())?;
        let most = if is_counted { 0 } else { most_partials as u64 };
        let (bounds, of_sets) = bounds(&sets, most);
        Ok(Reduction { chunks, segments, bounds, of_sets })
    }

    /// Partial sums.
    pub(crate) fn partials(&self) -> u32 {
        counted(self.bounds.len().saturating_sub(1))
    }

    /// The partials that a segment's chunks belong to.
    pub(crate) fn partials_of(&self, segment: &Segment) -> Range<u32> {
        let of_chunk = |chunk: u32| counted(self.bounds.partition_point(|bound| *bound <= chunk).saturating_sub(1));
        of_chunk(segment.chunks.start)..of_chunk(segment.chunks.end - 1) + 1
    }
}

/// Where the partial sums begin, and where the last ends, of sets with so many chunks each; and the partials of each set, which
/// may come several times in a row. A set has a share of the most that there may be, by its chunks, and one at least: partial i of a set with n chunks and P of
/// them covers its chunks `[i n / P, (i + 1) n / P)`.
fn bounds(sets: &[(usize, u64)], most: u64) -> (Vec<u32>, Vec<(usize, Range<u32>)>) {
    let all: u64 = sets.iter().map(|(_, chunks)| chunks).sum();
    let shared = most.saturating_sub(if sets.len() > 1 { sets.len() as u64 } else { 0 });
    let (mut bounds, mut before) = (vec![0], 0);
    let mut of_sets: Vec<(usize, Range<u32>)> = Vec::new();
    for (set, chunks) in sets {
        let partials = (chunks * shared / all.max(1)).min(*chunks).max(1);
        let first = counted(bounds.len() - 1);
        bounds.extend((1..=partials).map(|end| counted(before + end * chunks / partials)));
        let end = first + counted(partials);
        match of_sets.last_mut() {
            Some((known, range)) if known == set => range.end = end,
            _ => of_sets.push((*set, first..end)),
        }
        before += chunks;
    }
    (bounds, of_sets)
}

/// The chunks of a tensor's parts, each with how it is taken.
fn part_chunks(entry: usize, tensor: &Tensor<'_>, placed: &mut Vec<(Pages, Chunk)>) -> Result<(), Error> {
    let (mut begin, mut number) = (0, 0);
    for part in tensor.parts {
        let end = begin + part.elements;
        for start in (begin..end).step_by(CHUNK_ELEMENTS as usize) {
            let (pages, chunk) = chunk_of(entry, tensor, number, start, end)?;
            let floats = match (part.has_single_params, tensor.has_single_grads) {
                (true, _) => Floats::Singles,
                (false, true) => Floats::SingleGrads,
                (false, false) => Floats::Quads,
            };
            placed.push((Pages { floats, ..pages }, chunk));
            number += 1;
        }
        begin = end;
    }
    Ok(())
}

/// The chunk of a tensor that begins at this element, and ends at the last one at the latest.
fn chunk_of(entry: usize, tensor: &Tensor<'_>, number: usize, start: u64, end: u64) -> Result<(Pages, Chunk), Error> {
    let (param, grad, state) =
        (locate(tensor.param, start)?, locate(tensor.grad, start)?, locate(tensor.state, start)?);
    let pages = Pages { floats: Floats::Quads, arena: tensor.arena, param: param.0, grad: grad.0, state: state.0 };
    let chunk = Chunk {
        param: param.1,
        grad: count("elements of a page", u64::from(grad.1).saturating_sub(tensor.grad_base))?,
        state: state.1,
        length: count("elements of a chunk", (end - start).min(CHUNK_ELEMENTS))?,
        tensor: count("tensors", tensor.number)?,
        group: count("groups", tensor.group)?,
        number: count("chunks of a tensor", number)?,
        entry: count("tensors", entry)?,
    };
    Ok((pages, chunk))
}

/// Page and offset of an element. A stream that a stage does not use has no pieces and lies nowhere.
fn locate(pieces: &[Piece], element: u64) -> Result<(usize, u32), Error> {
    let mut before = 0;
    for piece in pieces {
        if element < before + piece.elements {
            return Ok((piece.page, count("elements of a page", piece.offset + element - before)?));
        }
        before += piece.elements;
    }
    Ok((0, 0))
}

fn segments(placed: &[(Pages, Chunk)], key: impl Fn(Pages) -> Pages) -> Result<Vec<Segment>, Error> {
    let mut segments: Vec<Segment> = Vec::new();
    for (place, (pages, chunk)) in placed.iter().enumerate() {
        let end = count("chunks", place + 1)?;
        match segments.last_mut() {
            Some(segment) if segment.pages == key(*pages) => {
                segment.chunks.end = end;
                segment.elements += u64::from(chunk.length);
            }
            _ => segments.push(Segment { pages: key(*pages), chunks: end - 1..end, elements: u64::from(chunk.length) }),
        }
    }
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(page: usize, offset: u64, elements: u64) -> Piece {
        Piece { page, offset, elements }
    }

    /// A tensor of one part, with its parameter, gradient and state there.
    fn tensor<'a>(number: usize, part: &'a [Part], [param, grad, state]: [&'a [Piece]; 3]) -> Tensor<'a> {
        Tensor {
            number,
            group: number,
            elements: part[0].elements,
            parts: part,
            param,
            grad,
            grad_base: 0,
            has_single_grads: false,
            state,
            arena: 0,
            has_sums: false,
            matrix: None,
            squares: None,
            set: 0,
            is_counted: false,
        }
    }

    #[test]
    fn one_page_each_is_one_segment() {
        let (a, b) = ([piece(0, 0, 5000)], [piece(0, 5056, 7)]);
        let (long, short) = (Part::whole(5000), Part::whole(7));
        let work = WorkList::new(&[tensor(0, &long, [&a; 3]), tensor(1, &short, [&b; 3])]).expect("a work list");
        let lengths: Vec<u32> = work.norm.chunks.iter().map(|chunk| chunk.length).collect();
        assert_eq!(lengths, [4096, 904, 7]);
        assert_eq!(work.update_segments.len(), 1);
        assert_eq!(work.update_chunks[2].param, 5056);
        assert_eq!(work.norm.partials_of(&work.norm.segments[0]), 0..3);
    }

    #[test]
    fn partials_cover_every_chunk_once_whatever_the_number() {
        for n in [1u64, 2, 3, 1023, 1024, 1025, 3000] {
            let whole = [piece(0, 0, n * CHUNK_ELEMENTS)];
            let part = Part::whole(n * CHUNK_ELEMENTS);
            let work = WorkList::new(&[tensor(0, &part, [&whole; 3])]).expect("a work list");
            let p = u64::from(work.partials());
            for chunk in 0..n as u32 {
                let segment = Segment { chunks: chunk..chunk + 1, ..work.norm.segments[0].clone() };
                let partial = u64::from(work.norm.partials_of(&segment).start);
                let (start, end) = (partial * n / p, (partial + 1) * n / p);
                assert!(
                    (start..end).contains(&u64::from(chunk)),
                    "chunk {chunk} of {n}: partial {partial} is {start}..{end}"
                );
            }
        }
    }

    #[test]
    fn chunks_at_the_edges_of_the_largest_pages_lie_inside_them() {
        use crate::engine::place;
        const MOST_PAGE_BYTES: u64 = 2 << 30;
        const PAGE: u64 = MOST_PAGE_BYTES / 4;
        // 12 GiB: more elements than a page has bytes, in one tensor between two small ones.
        let lengths = [100, 3 << 30, 7];
        let placement = place(&lengths, MOST_PAGE_BYTES, CHUNK_ELEMENTS);
        let parts = lengths.map(Part::whole);
        let place =
            |number: usize| tensor(number, &parts[number], [&placement.pieces[number], &[], &placement.pieces[number]]);
        let work = WorkList::new(&(0..lengths.len()).map(place).collect::<Vec<_>>()).expect("a work list");
        assert_eq!(work.update_segments.len(), placement.pages.len());
        let mut elements = 0;
        for segment in &work.update_segments {
            let (start, end) = (segment.chunks.start as usize, segment.chunks.end as usize);
            let mut reach = 0;
            for chunk in &work.update_chunks[start..end] {
                assert!(u64::from(chunk.param) >= reach, "{chunk:?} overlaps the one before it");
                reach = u64::from(chunk.param) + u64::from(chunk.length);
                assert!(reach <= PAGE && chunk.param == chunk.state, "{chunk:?} of page {}", segment.pages.param);
            }
            elements += segment.elements;
        }
        assert_eq!(elements, lengths.iter().sum::<u64>());
    }

    #[test]
    fn an_offset_past_32_bits_is_an_error_and_no_other_place() {
        let far = [piece(0, 1 << 32, 8)];
        let told = WorkList::new(&[tensor(0, &Part::whole(8), [&far; 3])]).expect_err("an error").to_string();
        assert_eq!(told, "elements of a page: 4294967296 is more than 32 bits can count");
    }

    #[test]
    fn squares_are_read_in_place_of_gradients() {
        let pieces = [piece(0, 0, 9000)];
        let part = Part::whole(9000);
        let of = |number, squares| Tensor { squares, ..tensor(number, &part, [&pieces; 3]) };
        let work = WorkList::new(&[of(0, Some(piece(0, 32, 5000))), of(1, None), of(2, Some(piece(0, 7, 1)))])
            .expect("a work list");
        let read = |reduction: &Reduction| -> Vec<[u32; 3]> {
            reduction.chunks.iter().map(|chunk| [chunk.group, chunk.grad, chunk.length]).collect()
        };
        assert_eq!(read(&work.fold), [[0, 32, 4096], [0, 4128, 904], [2, 7, 1]]);
        assert_eq!(read(&work.norm), [[1, 0, 4096], [1, 4096, 4096], [1, 8192, 808]]);
        assert_eq!((work.update_chunks.len(), work.partials()), (9, 6));
        let many = [piece(0, 0, 2000 * CHUNK_ELEMENTS)];
        let part = Part::whole(many[0].elements);
        let of = |squares| Tensor { squares, ..tensor(0, &part, [&many; 3]) };
        let work = WorkList::new(&[of(Some(many[0])), of(None)]).expect("a work list");
        assert_eq!((work.fold.partials(), work.norm.partials()), (256, 768));
    }

    #[test]
    fn chunks_of_the_same_pages_are_brought_together() {
        let (a, b) = ([piece(0, 0, 8)], [piece(1, 0, 8)]);
        let part = Part::whole(8);
        let of = |number, param| tensor(number, &part, [param, &a, &a]);
        let work = WorkList::new(&[of(0, &a), of(1, &b), of(2, &a)]).expect("a work list");
        assert_eq!(work.norm.segments.len(), 1);
        let order: Vec<u32> = work.update_chunks.iter().map(|chunk| chunk.tensor).collect();
        assert_eq!((order, work.update_segments.len()), (vec![0, 2, 1], 2));
    }

    #[test]
    fn what_shares_a_vec4_with_a_neighbour_takes_single_floats() {
        let part = |elements, has_single_params| Part { elements, has_single_params };
        let parts = [part(3, true), part(4100, false), part(2, true)];
        let (params, grads) = ([piece(0, 1, 4105)], [piece(0, 17, 4105)]);
        let state = [piece(0, 0, 3), piece(0, 64, 4100), piece(0, 4224, 2)];
        let moved = Tensor {
            elements: 4105,
            grad_base: 17,
            has_single_grads: true,
            ..tensor(0, &parts, [&params, &grads, &state])
        };
        let work = WorkList::new(&[moved]).expect("a work list");
        let kinds: Vec<_> = work.update_segments.iter().map(|it| (it.pages.floats, it.chunks.clone())).collect();
        assert_eq!(kinds, [(Floats::SingleGrads, 0..2), (Floats::Singles, 2..4)]);
        let places: Vec<_> = work.update_chunks.iter().map(|it| [it.param, it.grad, it.state, it.length]).collect();
        assert_eq!(places, [[4, 3, 64, 4096], [4100, 4099, 4160, 4], [1, 0, 0, 3], [4104, 4103, 4224, 2]]);
        assert_eq!(work.tensors[0].grad, 17);
        // The norm's sums do not depend on where parameters lie.
        let read: Vec<_> = work.norm.chunks.iter().map(|it| [it.grad, it.length]).collect();
        assert_eq!(read, [[0, 4096], [4096, 9]]);
    }
}

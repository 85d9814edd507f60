//! The work list: the tensors of a step, cut into chunks, and the runs of chunks that share their bound windows.

use crate::engine::Piece;
use crate::engine::layout::{Chunk, PARTIALS};
use std::ops::Range;

/// Elements of a chunk: the unit of a workgroup's work and of the norm's fixed reduction. A multiple of 64.
///
/// Time of a step on software Vulkan against 4096, medians of 15 pairs, 101 tensors and one tensor: 1024 1.04 and 1.03,
/// 2048 1.04 and 0.90 (in noise), 8192 1.01 and 1.00, 16384 1.01 and 0.98. Larger ones would leave a GPU short of
/// workgroups.
pub(crate) const CHUNK_ELEMENTS: u64 = 4096;

/// Most partial sums of the squares that kernels have written; the norm has the rest.
const FOLDED: usize = PARTIALS / 4;

/// A tensor that takes part, and where its streams lie. Pieces are cut at multiples of a chunk.
#[derive(Clone, Copy)]
pub(crate) struct Span<'a> {
    /// Place of its record in the control block.
    pub(crate) tensor: u32,
    pub(crate) group: u32,
    pub(crate) elements: u64,
    pub(crate) param: &'a [Piece],
    pub(crate) grad: &'a [Piece],
    pub(crate) state: &'a [Piece],
    /// Which arena the state's windows are of.
    pub(crate) arena: usize,
    /// Where the squares of its gradient lie, in partial sums, if a kernel writes them.
    pub(crate) squares: Option<Piece>,
}

/// The windows that a chunk's streams lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Windows {
    pub(crate) arena: usize,
    pub(crate) param: usize,
    pub(crate) grad: usize,
    pub(crate) state: usize,
}

/// Consecutive chunks that one dispatch handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) windows: Windows,
    pub(crate) chunks: Range<u32>,
    pub(crate) elements: u64,
}

/// Chunks that a stage reduces to partial sums, in the tensors' own order.
#[derive(Debug, Default)]
pub(crate) struct Reduction {
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) runs: Vec<Run>,
    most_partials: usize,
}

/// Chunks in two orders: the norm follows the tensors' own order, so that its bits do not depend on paging; the update
/// brings the chunks of one set of windows together, so that there is one dispatch for each set in use.
#[derive(Debug, Default)]
pub(crate) struct WorkList {
    /// Of the gradients that have to be read.
    pub(crate) norm: Reduction,
    /// Of the squares of the others; `grad` is a place among them.
    pub(crate) fold: Reduction,
    pub(crate) update_chunks: Vec<Chunk>,
    pub(crate) update_runs: Vec<Run>,
    /// `[record, group]` of each tensor.
    pub(crate) tensors: Vec<[u32; 2]>,
}

impl WorkList {
    pub(crate) fn new(spans: &[Span<'_>]) -> WorkList {
        let mut placed: Vec<(Windows, Chunk)> = spans.iter().flat_map(chunks_of).collect();
        let squares = spans.iter().filter_map(|span| {
            let grad = std::slice::from_ref(span.squares.as_ref()?);
            Some(Span { elements: grad[0].elements, param: &[], grad, state: &[], ..*span })
        });
        let fold = Reduction::new(squares, FOLDED);
        let read = spans.iter().filter(|span| span.squares.is_none()).copied();
        let norm = Reduction::new(read, PARTIALS - fold.partials() as usize);
        placed.sort_by_key(|(windows, _)| *windows);
        let update_runs = runs(&placed, |windows| windows);
        WorkList {
            norm,
            fold,
            update_chunks: placed.iter().map(|(_, chunk)| *chunk).collect(),
            update_runs,
            tensors: spans.iter().map(|span| [span.tensor, span.group]).collect(),
        }
    }

    /// Partial sums of both reductions.
    pub(crate) fn partials(&self) -> u32 {
        self.norm.partials() + self.fold.partials()
    }

    /// The sum of what `of` says of the elements of each chunk of a run of the update.
    pub(crate) fn sum(&self, run: &Run, of: impl Fn(u64) -> u64) -> u64 {
        let chunks = &self.update_chunks[run.chunks.start as usize..run.chunks.end as usize];
        chunks.iter().map(|chunk| of(u64::from(chunk.length))).sum()
    }
}

impl Reduction {
    fn new<'a>(spans: impl Iterator<Item = Span<'a>>, most_partials: usize) -> Reduction {
        let placed: Vec<(Windows, Chunk)> = spans.flat_map(|span| chunks_of(&span)).collect();
        let runs = runs(&placed, |windows| Windows { arena: 0, param: 0, grad: windows.grad, state: 0 });
        Reduction { chunks: placed.into_iter().map(|(_, chunk)| chunk).collect(), runs, most_partials }
    }

    /// Partial sums.
    pub(crate) fn partials(&self) -> u32 {
        self.chunks.len().min(self.most_partials) as u32
    }

    /// The partials that a run's chunks belong to. Partial i covers chunks `[i n / P, (i + 1) n / P)`.
    pub(crate) fn partials_of(&self, run: &Run) -> Range<u32> {
        let (n, p) = (self.chunks.len() as u64, u64::from(self.partials()));
        // Largest i with i n / P <= chunk, in whole numbers.
        let of_chunk = |chunk: u32| (((u64::from(chunk) + 1) * p - 1) / n) as u32;
        of_chunk(run.chunks.start)..of_chunk(run.chunks.end - 1) + 1
    }
}

fn chunks_of(span: &Span<'_>) -> Vec<(Windows, Chunk)> {
    let starts = (0..span.elements).step_by(CHUNK_ELEMENTS as usize);
    starts
        .map(|start| {
            let (param, grad, state) = (locate(span.param, start), locate(span.grad, start), locate(span.state, start));
            let windows = Windows { arena: span.arena, param: param.0, grad: grad.0, state: state.0 };
            let chunk = Chunk {
                param: param.1,
                grad: grad.1,
                state: state.1,
                length: (span.elements - start).min(CHUNK_ELEMENTS) as u32,
                tensor: span.tensor,
                group: span.group,
                number: (start / CHUNK_ELEMENTS) as u32,
            };
            (windows, chunk)
        })
        .collect()
}

/// Window and offset of an element. A stream that a stage does not use has no pieces and lies nowhere.
fn locate(pieces: &[Piece], element: u64) -> (usize, u32) {
    let mut before = 0;
    for piece in pieces {
        if element < before + piece.elements {
            return (piece.window, (piece.offset + element - before) as u32);
        }
        before += piece.elements;
    }
    (0, 0)
}

fn runs(placed: &[(Windows, Chunk)], key: impl Fn(Windows) -> Windows) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (place, (windows, chunk)) in placed.iter().enumerate() {
        let place = place as u32;
        match runs.last_mut() {
            Some(run) if run.windows == key(*windows) => {
                run.chunks.end = place + 1;
                run.elements += u64::from(chunk.length);
            }
            _ => runs.push(Run { windows: key(*windows), chunks: place..place + 1, elements: u64::from(chunk.length) }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(window: usize, offset: u64, elements: u64) -> Piece {
        Piece { window, offset, elements }
    }

    #[test]
    fn one_window_each_is_one_run() {
        let (a, b) = ([piece(0, 0, 5000)], [piece(0, 5056, 7)]);
        let span = |tensor, group, elements, pieces| Span {
            tensor,
            group,
            elements,
            param: pieces,
            grad: pieces,
            state: pieces,
            arena: 0,
            squares: None,
        };
        let work = WorkList::new(&[span(0, 1, 5000, &a), span(1, 0, 7, &b)]);
        let lengths: Vec<u32> = work.norm.chunks.iter().map(|chunk| chunk.length).collect();
        assert_eq!(lengths, [4096, 904, 7]);
        assert_eq!(work.update_runs.len(), 1);
        assert_eq!(work.update_chunks[2].param, 5056);
        assert_eq!(work.norm.partials_of(&work.norm.runs[0]), 0..3);
    }

    #[test]
    fn partials_cover_every_chunk_once_whatever_the_number() {
        for n in [1u64, 2, 3, 1023, 1024, 1025, 3000] {
            let whole = [piece(0, 0, n * CHUNK_ELEMENTS)];
            let elements = n * CHUNK_ELEMENTS;
            let span = Span {
                tensor: 0,
                group: 0,
                elements,
                param: &whole,
                grad: &whole,
                state: &whole,
                arena: 0,
                squares: None,
            };
            let work = WorkList::new(&[span]);
            let p = u64::from(work.partials());
            for chunk in 0..n as u32 {
                let run = Run { chunks: chunk..chunk + 1, ..work.norm.runs[0].clone() };
                let partial = u64::from(work.norm.partials_of(&run).start);
                let (start, end) = (partial * n / p, (partial + 1) * n / p);
                assert!(
                    (start..end).contains(&u64::from(chunk)),
                    "chunk {chunk} of {n}: partial {partial} is {start}..{end}"
                );
            }
        }
    }

    #[test]
    fn squares_are_read_in_place_of_gradients() {
        let pieces = [piece(0, 0, 9000)];
        let span = |tensor, squares| Span {
            tensor,
            group: tensor,
            elements: 9000,
            param: &pieces,
            grad: &pieces,
            state: &pieces,
            arena: 0,
            squares,
        };
        let work = WorkList::new(&[span(0, Some(piece(0, 32, 5000))), span(1, None), span(2, Some(piece(0, 7, 1)))]);
        let read = |reduction: &Reduction| -> Vec<[u32; 3]> {
            reduction.chunks.iter().map(|chunk| [chunk.group, chunk.grad, chunk.length]).collect()
        };
        assert_eq!(read(&work.fold), [[0, 32, 4096], [0, 4128, 904], [2, 7, 1]]);
        assert_eq!(read(&work.norm), [[1, 0, 4096], [1, 4096, 4096], [1, 8192, 808]]);
        assert_eq!((work.update_chunks.len(), work.partials()), (9, 6));
        let many = [piece(0, 0, 2000 * CHUNK_ELEMENTS)];
        let span = |squares| Span { elements: many[0].elements, grad: &many, squares, ..span(0, None) };
        let work = WorkList::new(&[span(Some(many[0])), span(None)]);
        assert_eq!((work.fold.partials(), work.norm.partials()), (256, 768));
    }

    #[test]
    fn chunks_of_the_same_windows_are_brought_together() {
        let (a, b) = ([piece(0, 0, 8)], [piece(1, 0, 8)]);
        let span =
            |tensor, param| Span { tensor, group: 0, elements: 8, param, grad: &a, state: &a, arena: 0, squares: None };
        let work = WorkList::new(&[span(0, &a), span(1, &b), span(2, &a)]);
        assert_eq!(work.norm.runs.len(), 1);
        let order: Vec<u32> = work.update_chunks.iter().map(|chunk| chunk.tensor).collect();
        assert_eq!((order, work.update_runs.len()), (vec![0, 2, 1], 2));
    }
}

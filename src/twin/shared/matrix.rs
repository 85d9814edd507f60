//! Twin of `shaders/shared/matrix.wgsl`.

use super::{Chunk, Segment};
use bytemuck::{Pod, Zeroable};
use std::ops::Range;

/// A tensor whose rule looks at its rows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Matrix {
    pub record: u32,
    pub rows: u32,
    pub columns: u32,
    pub chunk: u32,
    pub first: u32,
    pub sums: u32,
}

impl Matrix {
    /// Whether it has rows at all.
    pub fn has_rows(&self) -> bool {
        self.columns != 0
    }

    /// The elements of each row that a chunk has a part of, counted in the chunk.
    pub fn parts(&self, chunk: &Chunk) -> impl Iterator<Item = Range<usize>> + use<> {
        let Matrix { columns, .. } = *self;
        let (start, end) = self.stretch(chunk);
        let part = move |row: u32| (row * columns).max(start) - start..((row + 1) * columns).min(end) - start;
        self.rows_of(chunk).map(part).map(|part| part.start as usize..part.end as usize)
    }

    /// The places of the sums of those parts.
    pub fn sums_of(&self, chunk: &Chunk) -> Range<usize> {
        let rows = self.rows_of(chunk);
        if rows.is_empty() {
            return 0..0;
        }
        let first = self.sums + chunk.number;
        (first + rows.start) as usize..(first + rows.end) as usize
    }

    /// The places of the sums of a row, of the chunks that it has a part in.
    pub fn sums_of_row(&self, row: u32) -> Range<usize> {
        let last = ((row + 1) * self.columns - 1) / self.chunk;
        let first = self.sums + row;
        (first + row * self.columns / self.chunk) as usize..(first + last + 1) as usize
    }

    fn rows_of(&self, chunk: &Chunk) -> Range<u32> {
        if !self.has_rows() {
            return 0..0;
        }
        let (start, end) = self.stretch(chunk);
        start / self.columns..(end - 1) / self.columns + 1
    }

    fn stretch(&self, chunk: &Chunk) -> (u32, u32) {
        let start = chunk.number * self.chunk;
        (start, start + chunk.length)
    }
}

/// Writes the share of each element's row at the place of its state.
pub fn spread_shares(chunks: &[Chunk], segment: &Segment, matrices: &[Matrix], shares: &[f32], spread: &mut [f32]) {
    for chunk in segment.of(chunks) {
        let matrix = &matrices[chunk.entry as usize];
        let own = &mut spread[chunk.of_state()];
        for (row, part) in matrix.rows_of(chunk).zip(matrix.parts(chunk)) {
            own[part].fill(shares[(matrix.first + row) as usize]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_row_has_its_own_place() {
        for (rows, columns) in [(1, 1), (1, 20), (20, 1), (3, 11), (7, 4), (2, 8), (5, 16)] {
            let matrix = Matrix { rows, columns, chunk: 8, sums: 100, ..Matrix::default() };
            let elements = rows * columns;
            let chunk = |number: u32| Chunk { number, length: (elements - 8 * number).min(8), ..Chunk::default() };
            let mut by_chunk: Vec<(u32, usize, usize)> = Vec::new();
            for chunk in (0..elements.div_ceil(8)).map(chunk) {
                for (place, part) in matrix.sums_of(&chunk).zip(matrix.parts(&chunk)) {
                    by_chunk.push(((8 * chunk.number + part.start as u32) / columns, place, part.len()));
                }
            }
            assert!(by_chunk.windows(2).all(|pair| pair[0].1 < pair[1].1), "{rows} x {columns}: {by_chunk:?}");
            let by_row: Vec<(u32, usize)> =
                (0..rows).flat_map(|row| matrix.sums_of_row(row).map(move |place| (row, place))).collect();
            let found: Vec<(u32, usize)> = by_chunk.iter().map(|(row, place, _)| (*row, *place)).collect();
            assert_eq!(by_row, found, "{rows} x {columns}");
            assert_eq!(by_chunk.iter().map(|part| part.2).sum::<usize>(), elements as usize);
            assert!(found.iter().all(|(_, place)| *place < (100 + rows + elements.div_ceil(8)) as usize));
        }
    }
}

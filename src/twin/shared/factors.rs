//! Twin of `shaders/shared/factors.wgsl`.

use super::{Chunk, Matrix, Record, clamp_value};
use bytemuck::{Pod, Zeroable};
use std::ops::Range;

/// A tensor whose second moment is kept by rows and columns.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Factors {
    pub record: u32,
    pub elements: u32,
    pub rows: u32,
    pub columns: u32,
    pub chunk: u32,
    pub band: u32,
    pub row_state: u32,
    pub column_state: u32,
    pub row_sums: u32,
    pub column_sums: u32,
    pub means: u32,
}

/// Some columns of the part of a band that lies in one page.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Band {
    pub chunk: u32,
    pub length: u32,
    pub number: u32,
    pub begin: u32,
    pub column: u32,
    pub columns: u32,
}

/// Matrices of a tensor that a workgroup folds.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Folded {
    pub entry: u32,
    pub first: u32,
    pub count: u32,
}

/// The stretch of a matrix's column that a part of a band has, and where its sum lies.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Whether the band's earlier parts have some of the column.
    pub is_continued: bool,
    /// Its first element in the part, the first past it, and the elements between two: those of a row.
    pub first: usize,
    /// How many elements.
    pub count: usize,
    /// The place of the sum.
    pub out: usize,
}

impl Factors {
    /// Whether it has rows and columns at all.
    pub fn is_matrix(&self) -> bool {
        self.columns != 0
    }

    /// All of its rows, those of one matrix behind those of another.
    pub fn as_rows(&self) -> Matrix {
        let rows = if self.is_matrix() { self.elements / self.columns } else { 0 };
        Matrix { rows, columns: self.columns, chunk: self.chunk, sums: self.row_sums, ..Matrix::default() }
    }

    /// Where the state has its rows.
    pub fn of_rows(&self) -> Range<usize> {
        stretch(self.row_state, self.elements / self.columns)
    }

    /// Where the state has its columns.
    pub fn of_columns(&self) -> Range<usize> {
        stretch(self.column_state, self.elements / self.rows)
    }

    /// The place of a chunk's state, of a vector.
    pub fn of_vector(&self, chunk: &Chunk) -> Range<usize> {
        stretch(self.row_state + chunk.number * self.chunk, chunk.length)
    }

    /// Which row of all an element is in, and which matrix and column: the places of its row, column and mean.
    pub fn places(&self, element: u32) -> [usize; 3] {
        let (row, column) = (element / self.columns, element % self.columns);
        let matrix = row / self.rows;
        let places = [self.row_state + row, self.column_state + matrix * self.columns + column, self.means + matrix];
        places.map(|place| place as usize)
    }

    /// The places of the sums of a column of a matrix, of the bands that it has a part in.
    pub fn sums_of_column(&self, matrix: u32, column: u32) -> impl Iterator<Item = usize> + use<> {
        let Factors { rows, columns, band, column_sums, .. } = *self;
        let top = matrix * rows * columns + column;
        let bands = top / band..=(top + (rows - 1) * columns) / band;
        bands.map(move |number| (column_sums + (number + matrix) * columns + column) as usize)
    }

    /// The columns of a band's part that begins with this chunk, matrix by matrix.
    pub fn lines(&self, band: &Band, chunk: &Chunk) -> impl Iterator<Item = Line> + use<> {
        let (own, band) = (*self, *band);
        let start = chunk.number * own.chunk;
        let end = start + band.length;
        let of_matrix = own.rows * own.columns;
        (start / of_matrix..=(end - 1) / of_matrix).flat_map(move |matrix| {
            (band.column..band.column + band.columns).map(move |column| {
                let top = matrix * of_matrix + column;
                let row_from = |element: u32| element.saturating_sub(top).div_ceil(own.columns);
                let (from, to) = (row_from(start), row_from(end).min(own.rows));
                let count = to.saturating_sub(from);
                Line {
                    is_continued: row_from(band.begin) < from,
                    first: if count > 0 { (top + from * own.columns - start) as usize } else { 0 },
                    count: count as usize,
                    out: (own.column_sums + (band.number + matrix) * own.columns + column) as usize,
                }
            })
        })
    }
}

fn stretch(first: u32, length: u32) -> Range<usize> {
    first as usize..first as usize + length as usize
}

/// A gradient as an update finds it where no decay joins it.
#[inline(always)]
pub fn met_gradient(record: &Record, value_bound: f32, gradient: f32) -> f32 {
    record.scale * if value_bound > 0.0 { clamp_value(gradient, value_bound) } else { gradient }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However bands are cut by pages, each element is in one line, and each sum has a place of its own.
    #[test]
    fn every_element_of_a_column_is_added_up_once() {
        for (matrices, rows, columns) in
            [(1, 5, 3), (1, 40, 2), (7, 3, 3), (1, 3, 20), (3, 9, 5), (10, 1, 1), (2, 1, 11)]
        {
            let elements = matrices * rows * columns;
            let own = Factors { elements, rows, columns, chunk: 8, band: 24, column_sums: 100, ..Factors::default() };
            for cut in [8u32, 16, 24] {
                let mut sums = std::collections::BTreeMap::new();
                for begin in (0..elements).step_by(24) {
                    for start in (begin..elements.min(begin + 24)).step_by(cut as usize) {
                        let length = cut.min(elements - start).min(begin + 24 - start);
                        let chunk = Chunk { number: start / 8, ..Chunk::default() };
                        let band = Band { length, number: begin / 24, begin, column: 0, columns, ..Band::default() };
                        for line in own.lines(&band, &chunk) {
                            let sum = sums.entry(line.out).or_insert_with(Vec::new);
                            if !line.is_continued {
                                assert!(sum.is_empty() || line.count == 0, "{line:?}");
                                sum.clear();
                            }
                            sum.extend((0..line.count).map(|k| start as usize + line.first + k * columns as usize));
                        }
                    }
                }
                for matrix in 0..matrices {
                    for column in 0..columns {
                        let found: Vec<usize> =
                            own.sums_of_column(matrix, column).flat_map(|place| sums[&place].clone()).collect();
                        let top = (matrix * rows * columns + column) as usize;
                        let expected: Vec<usize> = (0..rows as usize).map(|row| top + row * columns as usize).collect();
                        assert_eq!(found, expected, "{matrices} x {rows} x {columns}, cut at {cut}");
                    }
                }
                let most = 100 + (elements.div_ceil(24) + matrices) * columns;
                assert!(sums.keys().all(|place| *place < most as usize));
            }
        }
    }
}

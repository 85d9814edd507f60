//! Tensors whose second moment is kept by rows and columns: where these lie, and what a step's stages do to them.

use super::Error;
use super::work::{CHUNK_ELEMENTS, Part, Segment, Tensor, WorkList};
use crate::engine::layout::{Band, Chunk, Factors, Folded};
use crate::engine::{count, counted};
use crate::params::Param;
use std::ops::Range;

/// Rows of a band, about: its columns' sums are that much less than its gradients.
const BAND_ROWS: u64 = 32;
/// Columns of a band that a workgroup does.
const BAND_COLUMNS: u64 = 256;
/// Rows and columns that a workgroup folds, about.
const FOLDED_LINES: u64 = 4096;

/// The matrices over a tensor's last two dimensions: how many, their rows, their columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) matrices: u64,
    pub(crate) rows: u64,
    pub(crate) columns: u64,
}

impl Shape {
    /// Of a parameter; `None` if it is a vector or a number.
    pub(crate) fn of(param: &Param) -> Option<Shape> {
        let [before @ .., rows, columns] = &param.shape[..] else { return None };
        let matrices = before.iter().map(|length| *length as u64).product();
        Some(Shape { matrices, rows: *rows as u64, columns: *columns as u64 })
    }
}

/// How a parameter's moments lie where they are no shape of its own: the rows of all matrices, then their columns.
pub(crate) fn kept_parts(param: &Param) -> Vec<Part> {
    let part = |elements| Part { elements, has_single_params: false };
    match Shape::of(param) {
        Some(Shape { matrices, rows, columns }) => vec![part(matrices * rows), part(matrices * columns)],
        None => Part::whole(param.elements() as u64).to_vec(),
    }
}

/// A moment of a parameter in files: its name among these, and its shape.
pub(crate) fn shape_in_files(part: &str, param: &Param) -> Vec<usize> {
    let mut shape = param.shape.clone();
    if let [.., rows, columns] = &mut shape[..] {
        match part {
            "row_var" => *columns = 1,
            "col_var" => *rows = 1,
            _ => {}
        }
    }
    shape
}

/// A parameter that is kept so.
pub(super) struct Kept<'a> {
    pub(super) param: &'a Param,
    /// Where its rows and its columns begin; a vector's state begins there once.
    pub(super) at: Vec<u64>,
    /// Bytes that the fold moves of it.
    pub(super) fold_bytes: u64,
}

/// What is folded of an arena.
#[derive(Debug)]
pub(super) struct Fold {
    pub(super) arena: usize,
    pub(super) list: Vec<Folded>,
    pub(super) bytes: u64,
}

/// The tensors of a work list, and what is to be done for them.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) list: Vec<Factors>,
    pub(super) bands: Vec<Band>,
    /// The bands of each segment of the update.
    pub(super) of_segment: Vec<Range<u32>>,
    /// The fold of each arena.
    pub(super) folded: Vec<Fold>,
    /// Places of sums of rows, of sums of columns, and of means.
    pub(super) places: [u32; 3],
}

impl Layout {
    /// Of the tensors of which `own` says that they are kept so.
    pub(super) fn of<'a>(
        tensors: &[Tensor<'_>],
        work: &WorkList,
        own: impl Fn(&Tensor<'_>) -> Option<Kept<'a>>,
    ) -> Result<Layout, Error> {
        let mut layout = Layout::default();
        let (mut row_sums, mut column_sums, mut means) = (0, 0, 0);
        for (entry, tensor) in tensors.iter().enumerate() {
            let Some(Kept { param, at, fold_bytes }) = own(tensor) else {
                layout.list.push(Factors::default());
                continue;
            };
            let vector = Factors {
                record: count("tensors", tensor.number)?,
                elements: count("elements of a tensor", tensor.elements)?,
                chunk: count("elements of a chunk", CHUNK_ELEMENTS)?,
                row_state: count("elements of a page", at.first().copied().unwrap_or(0))?,
                column_state: count("elements of a page", at.last().copied().unwrap_or(0))?,
                ..Factors::default()
            };
            let Some(shape) = Shape::of(param) else {
                layout.list.push(vector);
                continue;
            };
            let band = (BAND_ROWS * shape.columns).next_multiple_of(CHUNK_ELEMENTS);
            layout.list.push(Factors {
                rows: count("rows", shape.rows)?,
                columns: count("columns", shape.columns)?,
                band: count("elements of a band", band)?,
                row_sums: count("sums of rows", row_sums)?,
                column_sums: count("sums of columns", column_sums)?,
                means: count("matrices", means)?,
                ..vector
            });
            row_sums += shape.matrices * shape.rows + tensor.elements.div_ceil(CHUNK_ELEMENTS);
            column_sums += (tensor.elements.div_ceil(band) + shape.matrices) * shape.columns;
            means += shape.matrices;
            layout.fold(entry, shape, tensor.arena, fold_bytes)?;
        }
        layout.places =
            [count("sums of rows", row_sums)?, count("sums of columns", column_sums)?, count("matrices", means)?];
        for segment in &work.update_segments {
            let first = counted(layout.bands.len());
            layout.band(segment, &work.update_chunks)?;
            layout.of_segment.push(first..count("bands", layout.bands.len())?);
        }
        Ok(layout)
    }

    /// Shares out a tensor's matrices among workgroups.
    fn fold(&mut self, entry: usize, shape: Shape, arena: usize, bytes: u64) -> Result<(), Error> {
        let mut list = Vec::new();
        let each = (FOLDED_LINES / (shape.rows + shape.columns)).max(1);
        for first in (0..shape.matrices).step_by(usize::try_from(each).unwrap_or(usize::MAX)) {
            let number = each.min(shape.matrices - first);
            list.push(Folded {
                entry: count("tensors", entry)?,
                first: count("matrices", first)?,
                count: count("matrices", number)?,
            });
        }
        match self.folded.iter_mut().find(|fold| fold.arena == arena) {
            Some(fold) => {
                fold.list.append(&mut list);
                fold.bytes += bytes;
            }
            None => self.folded.push(Fold { arena, list, bytes }),
        }
        Ok(())
    }

    /// The bands of a segment: chunks of one tensor, one after the other, up to where a band ends.
    fn band(&mut self, segment: &Segment, chunks: &[Chunk]) -> Result<(), Error> {
        let (mut place, end) = (segment.chunks.start as usize, segment.chunks.end as usize);
        while place < end {
            let first = &chunks[place];
            let own = self.list[first.entry as usize];
            let in_band = |chunk: &Chunk| chunk.number * own.chunk / own.band.max(1);
            let is_on = |chunk: &&Chunk| chunk.entry == first.entry && in_band(chunk) == in_band(first);
            let part: Vec<&Chunk> = chunks[place..end].iter().take_while(is_on).collect();
            if own.is_matrix() {
                let band = Band {
                    chunk: count("chunks", place)?,
                    length: part.iter().map(|chunk| chunk.length).sum(),
                    number: in_band(first),
                    begin: in_band(first) * own.band,
                    ..Band::default()
                };
                for column in (0..u64::from(own.columns)).step_by(BAND_COLUMNS as usize) {
                    let columns = count("columns", BAND_COLUMNS.min(u64::from(own.columns) - column))?;
                    self.bands.push(Band { column: count("columns", column)?, columns, ..band });
                }
            }
            place += part.len();
        }
        Ok(())
    }
}

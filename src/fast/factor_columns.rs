//! Fast form of [`twin::optim::factor_columns`](crate::twin::optim::factor_columns).

use super::update::parts;
use crate::twin::shared::{Band, Chunk, Factors, Line, Record, Segment, met_gradient, split_control};
use rayon::prelude::*;
use std::ops::Range;

/// The sums of the squares of each column's gradients, bands shared out among the cores, row after row: to the bit what the
/// twin gives.
pub fn factor_columns(
    chunks: &[Chunk],
    control: &[u32],
    grads: &[f32],
    segment: &Segment,
    factors: &[Factors],
    bands: &[Band],
    sums: &mut [f32],
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    let bands = &bands[segment.first as usize..][..segment.count as usize];
    let works: Vec<Work<'_>> = bands.iter().flat_map(|band| Work::of(band, chunks, factors)).collect();
    let sums = parts(sums, works.iter().map(Work::sums));
    works.into_par_iter().zip(sums).for_each(|(work, sums)| {
        let record = records[work.chunk.tensor as usize];
        let grads = &grads[work.chunk.of_grads(record.grad).start..][..work.band.length as usize];
        work.add(record, stats.value_bound, grads, sums);
    });
}

/// Columns of some matrices, whose sums lie together.
struct Work<'a> {
    band: &'a Band,
    chunk: &'a Chunk,
    own: &'a Factors,
    matrices: Range<u32>,
}

impl<'a> Work<'a> {
    /// All matrices of a band's part at once where it has all columns, else each alone.
    fn of(band: &'a Band, chunks: &'a [Chunk], factors: &'a [Factors]) -> Vec<Work<'a>> {
        let chunk = &chunks[band.chunk as usize];
        let own = &factors[chunk.entry as usize];
        let start = chunk.number * own.chunk;
        let of_matrix = own.rows * own.columns;
        let all = start / of_matrix..(start + band.length - 1) / of_matrix + 1;
        let work = |matrices| Work { band, chunk, own, matrices };
        if band.columns == own.columns { vec![work(all)] } else { all.map(|one| work(one..one + 1)).collect() }
    }

    fn sums(&self) -> Range<usize> {
        let Factors { columns, column_sums, .. } = *self.own;
        let place = |matrix: u32| (column_sums + (self.band.number + matrix) * columns + self.band.column) as usize;
        let last = place(self.matrices.end - 1);
        place(self.matrices.start)..last + self.band.columns as usize
    }

    fn add(&self, record: Record, value_bound: f32, grads: &[f32], sums: &mut [f32]) {
        let (own, band) = (self.own, self.band);
        let start = self.chunk.number * own.chunk;
        let end = start + band.length;
        if start == band.begin {
            sums.fill(0.0);
        } else {
            let places = self.sums();
            let is_new = |line: &Line| !line.is_continued && places.contains(&line.out);
            own.lines(band, self.chunk).filter(is_new).for_each(|line| sums[line.out - places.start] = 0.0);
        }
        for (matrix, sums) in self.matrices.clone().zip(sums.chunks_mut(band.columns as usize)) {
            let first = matrix * own.rows;
            let rows = (start / own.columns).max(first)..(end - 1) / own.columns + 1;
            for row in rows.start..rows.end.min(first + own.rows) {
                let begin = row * own.columns + band.column;
                let (from, to) = (begin.max(start), (begin + band.columns).min(end));
                if from < to {
                    let sums = &mut sums[(from - begin) as usize..(to - begin) as usize];
                    squares(record, value_bound, &grads[(from - start) as usize..(to - start) as usize], sums);
                }
            }
        }
    }
}

/// Adds the squares of gradients as an update finds them.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn squares(record: Record, value_bound: f32, grads: &[f32], sums: &mut [f32]) {
    if value_bound > 0.0 {
        sums.iter_mut().zip(grads).for_each(|(sum, g)| {
            let g = met_gradient(&record, value_bound, *g);
            *sum += g * g;
        });
    } else {
        sums.iter_mut().zip(grads).for_each(|(sum, g)| {
            let g = met_gradient(&record, 0.0, *g);
            *sum += g * g;
        });
    }
}

//! The directions of matrices made orthogonal, by five steps of Newton's and Schulz's: all matrices of one shape at once.
//!
//! A step makes `x <- (a + b s + c s²) x` with `s = x xᵀ`. All of them together are one polynomial of the first s, so they are made on
//! squares of the shorter side, `p <- q p` and `s <- q q s` with `q = a + b s + c s²`, and x is multiplied once, at the end. Squares are
//! symmetric, so half of each is computed. Of a matrix with more rows than columns it is the transpose that is stepped, in place:
//! products take a matrix row after row or column after column.

use super::Error;
use super::work::Tensor;
use crate::engine::kernels::PRODUCT;
use crate::engine::layout::{LEFT_TURNED, OUT_TURNED, Product, RIGHT_TURNED, SYMMETRIC};
use crate::engine::{Buffer, Dispatch, Engine, Range, count};
use crate::params::{Param, Row};

const STEPS: usize = 5;
/// What its steps make of x, s x and s² x: more than they would for numbers near 1, so that small ones grow fast.
const COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];
/// Rows and columns of a tile of a product, as its shader has it.
const TILE: u32 = 64;
/// Most matrices of a dispatch.
const MOST_MATRICES: usize = 65_535;
/// Most elements of a buffer of squares, if they are not of one matrix: 64 MiB.
const MOST_ELEMENTS: u64 = 1 << 24;
/// Buffers of squares.
const SQUARES: usize = 5;

/// Matrices of one shape, in one page of state.
struct Batch {
    arena: usize,
    page: usize,
    shape: [u64; 2],
    /// What the directions are multiplied by in the end.
    share: f64,
    /// Where each begins in the page.
    places: Vec<u32>,
}

/// Bytes that the steps move, and what they multiply and add, for a matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) bytes: u64,
    pub(crate) flops: u64,
}

/// What the steps cost for a matrix of so many rows and columns.
pub(crate) fn cost([rows, columns]: [u64; 2]) -> Cost {
    let (short, long) = (rows.min(columns), rows.max(columns));
    let (square, whole, steps) = (short * short, short * long, STEPS as u64);
    // s, q of each step, what p, q s and q q s are of all steps but one, and x.
    let elements = (whole + square) + 2 * steps * square + 9 * (steps - 1) * square + (square + 2 * whole);
    let half = short * (short + 1);
    let flops = half * long + (steps + 3 * (steps - 1)) * half * short + 2 * square * long;
    Cost { bytes: 4 * elements, flops }
}

/// The share of lr that a matrix takes.
fn share([rows, columns]: [u64; 2], row: &Row) -> f64 {
    let [rows, columns] = [rows as f64, columns as f64];
    if row.match_rms_adamw { 0.2 * rows.max(columns).sqrt() } else { (rows / columns).max(1.0).sqrt() }
}

/// The steps for these tensors of a work list, each with its parameter and its row; `directions` are the pages of an arena of
/// state: that in which they begin and that in which they end.
///
/// # Errors
/// A matrix that lies in several pages; out of device memory.
pub(crate) fn dispatches<'a>(
    engine: &Engine,
    directions: impl Fn(usize, usize) -> Vec<Range>,
    matrices: impl Iterator<Item = (&'a Tensor<'a>, &'a Param, Row)>,
) -> Result<Vec<Dispatch>, Error> {
    let batches = batches(matrices, (engine.page_bytes() / 4).min(MOST_ELEMENTS))?;
    let square = |batch: &Batch| batch.places.len() as u64 * batch.shape.into_iter().min().unwrap_or(0).pow(2);
    let Some(largest) = batches.iter().map(square).max() else { return Ok(Vec::new()) };
    let squares = (0..SQUARES).map(|_| engine.buffer("squares", 4 * largest)).collect::<Result<Vec<_>, _>>()?;
    let mut dispatches = Vec::new();
    for batch in &batches {
        dispatches.extend(batch.steps(engine, &directions(batch.arena, batch.page), &squares)?);
    }
    Ok(dispatches)
}

/// Matrices of one shape together, with no more elements in their squares than a page holds.
fn batches<'a>(
    matrices: impl Iterator<Item = (&'a Tensor<'a>, &'a Param, Row)>,
    most_elements: u64,
) -> Result<Vec<Batch>, Error> {
    let mut batches: Vec<Batch> = Vec::new();
    for (tensor, param, row) in matrices {
        let ([piece], [rows, columns]) = (tensor.state, &param.shape[..]) else {
            let rule = row.rule;
            let reason = format!("it is more than a page of the device's memory, and {rule} needs a matrix in one");
            return Err(Error::Unsuited { param: param.name.clone(), reason });
        };
        let shape = [*rows, *columns].map(|length| length as u64);
        let (place, share) = (count("elements of a page", piece.offset)?, share(shape, &row));
        let square = shape.into_iter().min().unwrap_or(0).pow(2);
        let most = (most_elements / square.max(1)).max(1).min(MOST_MATRICES as u64) as usize;
        let is_own = |batch: &&mut Batch| {
            (batch.arena, batch.page, batch.shape, batch.share) == (tensor.arena, piece.page, shape, share)
                && batch.places.len() < most
        };
        match batches.iter_mut().rev().find(is_own) {
            Some(batch) => batch.places.push(place),
            None => {
                batches.push(Batch { arena: tensor.arena, page: piece.page, shape, share, places: vec![place] });
            }
        }
    }
    Ok(batches)
}

impl Batch {
    /// The steps from the first of two pages of directions to the second.
    fn steps(&self, engine: &Engine, directions: &[Range], squares: &[Buffer]) -> Result<Vec<Dispatch>, Error> {
        let squares: Vec<Range> = squares.iter().map(Buffer::all).collect();
        let ([x, next], [s, t, q, p, other]) = (directions, &squares[..]) else { return Ok(Vec::new()) };
        let [a, b, c] = COEFFICIENTS;
        let (short, long) = (self.shape[0].min(self.shape[1]), self.shape[0].max(self.shape[1]));
        let [m, n] = [count("rows", short)?, count("columns", long)?];
        let number = count("matrices", self.places.len())?;
        let of_squares = (0..u64::from(number)).map(|place| count("elements of a page", place * short * short));
        let of_squares = of_squares.collect::<Result<Vec<u32>, _>>()?;
        let places = engine.buffer_with("places", &[&self.places[..], &of_squares[..]].concat())?;
        let is_tall = self.shape[0] > self.shape[1];
        let turned = |wide: u32, tall: u32| if is_tall { tall } else { wide };
        // Places of the matrices themselves come first in the list, those of squares behind them.
        let gram = Product {
            rows: m,
            columns: m,
            inner: n,
            flags: SYMMETRIC | turned(RIGHT_TURNED, LEFT_TURNED),
            scale: 1.0,
            out: number,
            matrices: number,
            ..Product::default()
        };
        let of_squares = Product { inner: m, left: number, right: number, added: number, flags: SYMMETRIC, ..gram };
        let polynomial = Product { scale: c as f32, kept: (b / c) as f32, diagonal: a as f32, ..of_squares };
        let apply = Product { rows: m, columns: n, inner: m, left: number, matrices: number, ..Product::default() };
        let apply = Product { flags: turned(0, RIGHT_TURNED | OUT_TURNED), scale: self.share as f32, ..apply };
        let mut dispatches = Vec::new();
        let mut make = |product: &Product, [left, right, out]: [&Range; 3]| {
            dispatches.push(self.product(engine, &places, product, [left, right, left, out])?);
            Ok::<_, Error>(())
        };
        make(&gram, [x, x, s])?;
        let (mut p, mut other) = (p, other);
        for step in 0..STEPS {
            // The first is p itself.
            let q = if step == 0 { p } else { q };
            make(&polynomial, [s, s, q])?;
            if step > 0 {
                make(&of_squares, [q, p, other])?;
                (p, other) = (other, p);
            }
            if step + 1 < STEPS {
                make(&of_squares, [q, s, t])?;
                make(&of_squares, [q, t, s])?;
            }
        }
        make(&apply, [p, x, next])?;
        Ok(dispatches)
    }

    /// c = scale (a b + kept d) + diagonal 1 over a, b, d and c.
    fn product(
        &self,
        engine: &Engine,
        places: &Buffer,
        product: &Product,
        [left, right, added, out]: [&Range; 4],
    ) -> Result<Dispatch, Error> {
        let matrices = self.places.len() as u64;
        let [a, b, c] = product.lengths().map(|length| length as u64);
        // A matrix by itself is read once.
        let read = if left.buffer.same(&right.buffer) { a } else { a + b };
        let [rows, columns, inner] = [product.rows, product.columns, product.inner].map(u64::from);
        let flops = if product.flags & SYMMETRIC != 0 { rows * (rows + 1) * inner } else { 2 * rows * columns * inner };
        let record = engine.buffer_with("product", &[*product])?;
        Ok(Dispatch {
            kernel: PRODUCT.plain(),
            bindings: vec![
                places.into(),
                left.clone().into(),
                right.clone().into(),
                added.clone().into(),
                out.clone().into(),
                (&record).into(),
            ],
            constants: Vec::new(),
            grid: [product.columns.div_ceil(TILE), product.rows.div_ceil(TILE), count("matrices", self.places.len())?],
            bytes: 4 * matrices * (read + c),
            flops: matrices * flops,
        })
    }
}

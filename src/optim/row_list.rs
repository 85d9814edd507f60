//! Which rows a resized parameter keeps, and the dispatches that move them.

use super::Error;
use super::arena::Stream;
use crate::engine::kernels::{Flag, RESIZE};
use crate::engine::layout::{FRESH as FRESH_BIT, Resize, ZERO as ZERO_INDEX};
use crate::engine::{Buffer, Dispatch, Engine, Range, count, row_of};
use crate::params::{Param, Storage};

/// Words that a workgroup moves.
const SPAN_WORDS: u64 = 4096;

/// For each row of a resized parameter, its old row: a `u32`. A row may be named several times, or not at all.
///
/// [`RowList::ZERO`] is a row of zeros. An index with [`RowList::FRESH`] added keeps the row's values and starts its
/// moments and average at zero, so that two halves of a split row need not both keep its momentum.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RowList<'a> {
    /// In host memory: an index past the rows is refused at once.
    Host(&'a [u32]),
    /// On the device, unseen by the host: `u32`s, as many as the new shape has rows; later ones are not read. An index
    /// past the rows counts as [`RowList::ZERO`], and [`Optimizer::stats`](super::Optimizer::stats) returns it with a
    /// later report as [`Error::LostRows`](super::Error::LostRows).
    Device(&'a Range),
}

impl RowList<'_> {
    /// A row of zeros.
    pub const ZERO: u32 = ZERO_INDEX;
    /// Added to an index: the row's moments and its average begin at zero.
    pub const FRESH: u32 = FRESH_BIT;

    /// Whether it has so many entries, and what the host can see of it goes with a parameter as it is.
    pub(crate) fn check(&self, param: &Param, new_rows: usize) -> Result<(), Error> {
        let (fits, entries) = match self {
            RowList::Host(rows) => (rows.len() == new_rows, rows.len()),
            RowList::Device(range) => (range.bytes / 4 >= new_rows as u64, (range.bytes / 4) as usize),
        };
        if !fits {
            let reason = format!("its new shape has {new_rows} rows, and the list {entries}");
            return Err(Error::Unsuited { param: param.name.clone(), reason });
        }
        let rows = param.shape.first().copied().unwrap_or(1);
        let RowList::Host(list) = self else { return Ok(()) };
        let is_past = |index: &u32| *index != RowList::ZERO && (index & !RowList::FRESH) as usize >= rows;
        match list.iter().position(is_past) {
            None => Ok(()),
            Some(place) => {
                let (param, index) = (param.name.clone(), list[place] & !RowList::FRESH);
                Err(Error::NoSuchRow { param, place, index, rows })
            }
        }
    }

    /// The list on the device.
    pub(crate) fn place(&self, engine: &Engine) -> Result<Range, Error> {
        match self {
            RowList::Host(rows) => Ok(engine.buffer_with("rows", rows)?.all()),
            RowList::Device(range) => Ok((*range).clone()),
        }
    }
}

/// A parameter that is resized by a list.
pub(crate) struct Resized<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) control: &'a Buffer,
    pub(crate) list: &'a Range,
    /// As it was.
    pub(crate) param: &'a Param,
}

/// What a stream of a parameter holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    Values,
    State,
}

impl Resized<'_> {
    /// What moves the rows of a stream: a dispatch for each piece before and each piece after.
    pub(crate) fn dispatches(&self, old: &Stream<'_>, new: &Stream<'_>, holds: Holds) -> Result<Vec<Dispatch>, Error> {
        let is_halves = new.storage == Storage::Bf16;
        let rows = self.param.shape.first().copied().unwrap_or(1);
        let elements = |count_of: u64| count("elements of a tensor", count_of);
        let mut dispatches = Vec::new();
        let mut new_first = 0;
        for to in new.pieces {
            let mut old_first = 0;
            for (place, from) in old.pieces.iter().enumerate() {
                let record = Resize {
                    rows: count("rows", rows)?,
                    width: elements(self.param.elements() as u64 / rows.max(1) as u64)?,
                    old_first: elements(old_first)?,
                    old_elements: elements(from.elements)?,
                    old_at: elements(from.offset)?,
                    new_first: elements(new_first)?,
                    new_elements: elements(to.elements)?,
                    new_at: elements(to.offset)?,
                    is_state: u32::from(holds == Holds::State),
                    is_first: u32::from(place == 0),
                    is_counting: u32::from(place == 0 && holds == Holds::Values),
                    pad0: 0,
                };
                let bindings = vec![
                    self.list.clone().into(),
                    self.control.into(),
                    old.pages[from.page].clone().into(),
                    new.pages[to.page].clone().into(),
                    (&self.engine.buffer_with("resize", &[record])?).into(),
                ];
                let words = if is_halves { to.elements.div_ceil(2) } else { to.elements };
                dispatches.push(Dispatch {
                    kernel: RESIZE.variant(Flag::Halves.when(is_halves))?,
                    bindings,
                    constants: vec![("WORKGROUP", f64::from(super::stages::workgroup(self.engine)))],
                    grid: row_of(count("workgroups", words.div_ceil(SPAN_WORDS))?),
                    bytes: 2 * new.storage.bytes(to.elements),
                    flops: 0,
                });
                old_first += from.elements;
            }
            new_first += to.elements;
        }
        Ok(dispatches)
    }
}

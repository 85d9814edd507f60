//! Parameters and gradients in a caller's own buffers.

use super::arena::Stream;
use super::work::CHUNK_ELEMENTS;
use super::{Error, Precision};
use crate::engine::layout::Code;
use crate::engine::{Engine, Piece, Range};
use crate::params::{Param, Storage};

/// A parameter and its gradient where the caller has them: row-major, contiguous.
#[derive(Clone, Debug)]
pub struct External {
    /// Name and shape.
    pub param: Param,
    /// The parameter's bytes; of bf16 in whole words of two.
    pub values: Range,
    /// The gradient's bytes.
    pub gradient: Range,
    /// Their types.
    pub precision: Precision,
}

/// One side of an external: its name, where it lies, and what is there.
pub(crate) struct Side<'a> {
    pub(crate) name: &'a str,
    pub(crate) range: &'a Range,
    pub(crate) storage: Storage,
    pub(crate) elements: u64,
}

/// How a caller's buffers are updated. Both are one submission a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One dispatch for each pair of buffers in use: one in all where all parameters share a buffer and all gradients
    /// share another. Tensors start at multiples of 16 bytes, and what lies between a tensor's end and the next such
    /// multiple must be inside the buffer; it keeps its value.
    Arena,
    /// One dispatch a tensor, at any offset; a parameter and its gradient may share a buffer.
    InPlace,
}

/// Bound windows, and each tensor's pieces in them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Placed {
    pub(crate) windows: Vec<Range>,
    /// What lies in each window.
    pub(crate) storages: Vec<Storage>,
    pub(crate) pieces: Vec<Vec<Piece>>,
}

impl External {
    /// Checks sizes and overlaps of all of them, before anything is made.
    pub(crate) fn check_all(externals: &[External], mode: Mode) -> Result<(), Error> {
        for external in externals {
            external.check_sizes()?;
            if mode == Mode::InPlace && external.precision != Precision::F32 {
                let reason = "bf16 is two elements a word, which Mode::InPlace does not take apart: use Mode::Arena";
                return Err(Error::Unsuited { param: external.param.name.clone(), reason: reason.to_owned() });
            }
            if mode == Mode::Arena {
                external
                    .sides()
                    .into_iter()
                    .try_for_each(|(what, range)| check_arena(&external.param.name, what, range))?;
            }
        }
        let named = |external: &'_ External| external.param.name.clone();
        let sides = externals.iter().flat_map(|external| external.sides().map(|side| (named(external), side)));
        check_overlaps(sides.map(|(name, (what, range))| (format!("{what} of {name:?}"), range)).collect())?;
        if mode == Mode::InPlace {
            return Ok(());
        }
        for values in externals {
            if let Some(gradient) = externals.iter().find(|other| other.gradient.buffer.same(&values.values.buffer)) {
                let reason = format!(
                    "its buffer {:?} also holds the gradient of {:?}; one dispatch cannot read and write one buffer: use Mode::InPlace",
                    values.values.buffer.label(),
                    gradient.param.name
                );
                return Err(Error::Unsuited { param: values.param.name.clone(), reason });
            }
        }
        Ok(())
    }

    fn sides(&self) -> [(&'static str, &Range); 2] {
        [("values", &self.values), ("gradient", &self.gradient)]
    }

    /// The parameter, to be placed.
    pub(crate) fn values_side(&self) -> Side<'_> {
        self.side(&self.values, self.precision.values())
    }

    /// The gradient, to be placed.
    pub(crate) fn gradient_side(&self) -> Side<'_> {
        self.side(&self.gradient, self.precision.gradients())
    }

    fn side<'a>(&'a self, range: &'a Range, storage: Storage) -> Side<'a> {
        Side { name: &self.param.name, range, storage, elements: self.param.elements() as u64 }
    }

    fn check_sizes(&self) -> Result<(), Error> {
        let storages = [self.precision.values(), self.precision.gradients()];
        for ((what, range), storage) in self.sides().into_iter().zip(storages) {
            let needed = storage.bytes((self.param.elements() as u64).next_multiple_of(storage.block_elements()));
            range.buffer.range(range.offset, range.bytes)?;
            if range.bytes != needed {
                let (param, shape) = (self.param.name.clone(), self.param.shape.clone());
                return Err(Error::SizesDisagree { param, what, bytes: range.bytes, shape, needed });
            }
        }
        Ok(())
    }
}

/// Whether arena mode can bind a range: vec4s from its first byte to behind its last.
pub(crate) fn check_arena(name: &str, what: &'static str, range: &Range) -> Result<(), Error> {
    let param = name.to_owned();
    if !range.offset.is_multiple_of(16) {
        let reason = "arena mode reads vec4s; Mode::InPlace takes any offset";
        return Err(Error::Misaligned { param, what, offset: range.offset, alignment: 16, reason });
    }
    let end = range.offset + range.bytes;
    if end.next_multiple_of(16) > range.buffer.bytes() {
        let reason = format!(
            "its {what} ends at byte {end} of {:?}, which lacks the bytes up to the next multiple of 16 that arena mode reads",
            range.buffer
        );
        return Err(Error::Unsuited { param, reason });
    }
    Ok(())
}

/// No two ranges may share bytes: one would be updated while the other is read.
pub(crate) fn check_overlaps(mut ranges: Vec<(String, &Range)>) -> Result<(), Error> {
    // By first byte; a range can then only overlap one that begins before it ends.
    ranges.sort_by_key(|(_, range)| range.offset);
    for (place, (first, range)) in ranges.iter().enumerate() {
        let reach = range.offset + range.bytes;
        let mut near = ranges[place + 1..].iter().take_while(|(_, other)| other.offset < reach);
        if let Some((second, _)) = near.find(|(_, other)| other.overlaps(range)) {
            let buffer = range.buffer.label().to_owned();
            return Err(Error::Overlap { first: first.clone(), second: second.clone(), buffer });
        }
    }
    Ok(())
}

/// Windows and pieces for these ranges. In arena mode a window is a whole buffer; in place each range has windows of
/// its own, which begin at the aligned offset below it, and a range over the binding limit is cut at chunks.
pub(crate) fn placed<'a>(engine: &Engine, sides: impl Iterator<Item = Side<'a>>, mode: Mode) -> Result<Placed, Error> {
    let mut placed = Placed::default();
    for side in sides {
        let pieces = match mode {
            Mode::Arena => vec![placed.in_whole_buffer(engine, &side)?],
            Mode::InPlace => placed.in_windows(engine, side.range),
        };
        placed.pieces.push(pieces);
    }
    Ok(placed)
}

impl Placed {
    /// A tensor's stream, of what is stored so.
    pub(crate) fn stream(&self, tensor: usize, storage: Storage) -> Stream<'_> {
        Stream { pieces: &self.pieces[tensor], windows: &self.windows, storage, code: Code::Signed }
    }

    /// Another window, of what is stored so; its number.
    pub(crate) fn add(&mut self, window: Range, storage: Storage) -> usize {
        self.windows.push(window);
        self.storages.push(storage);
        self.windows.len() - 1
    }

    fn in_whole_buffer(&mut self, engine: &Engine, side: &Side<'_>) -> Result<Piece, Error> {
        let Side { name, range, storage, elements } = *side;
        if range.buffer.bytes() > engine.page_bytes() {
            let reason = format!(
                "{:?} is over the device's binding limit of {} bytes; use several buffers, or Mode::InPlace",
                range.buffer,
                engine.page_bytes()
            );
            return Err(Error::Unsuited { param: name.to_owned(), reason });
        }
        let mut known = self.windows.iter().zip(&self.storages);
        let known = known.position(|(window, known)| window.buffer.same(&range.buffer) && *known == storage);
        let window = known.unwrap_or_else(|| self.add(range.buffer.all(), storage));
        Ok(Piece { window, offset: range.offset / storage.bytes(1), elements })
    }

    fn in_windows(&mut self, engine: &Engine, range: &Range) -> Vec<Piece> {
        let alignment = engine.offset_alignment_bytes();
        let chunk_bytes = CHUNK_ELEMENTS * 4;
        let most = (engine.page_bytes() - alignment) / chunk_bytes * chunk_bytes;
        let mut pieces = Vec::new();
        let mut done = 0;
        while done < range.bytes {
            let bytes = (range.bytes - done).min(most);
            let at = range.offset + done;
            let offset = at / alignment * alignment;
            let window = Range { buffer: range.buffer.clone(), offset, bytes: at - offset + bytes };
            let window = self.add(window, Storage::F32);
            pieces.push(Piece { window, offset: (at - offset) / 4, elements: bytes / 4 });
            done += bytes;
        }
        pieces
    }
}

//! Parameters and gradients in a caller's own buffers.

use super::{Error, Precision};
use crate::engine::Range;
use crate::params::{Param, Storage};
use crate::setters::setters;

/// A parameter and its gradient where the caller has them: row-major, contiguous.
#[derive(Clone, Debug)]
#[non_exhaustive]
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

/// A caller's array: its name, where it lies, and what is there.
pub(crate) struct Array<'a> {
    pub(crate) name: &'a str,
    pub(crate) range: &'a Range,
    pub(crate) storage: Storage,
    pub(crate) elements: u64,
}

/// How a caller's buffers are updated. Both are one submission a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// One dispatch for each pair of buffers in use: one in all where all parameters share a buffer and all gradients
    /// share another. Tensors start at multiples of 16 bytes, and what lies between a tensor's end and the next such
    /// multiple must be inside the buffer; it keeps its value.
    Arena,
    /// One dispatch a tensor, at any offset; a parameter and its gradient may share a buffer.
    InPlace,
}

impl External {
    /// A parameter and its gradient, both in f32.
    pub fn new(param: Param, values: Range, gradient: Range) -> External {
        External { param, values, gradient, precision: Precision::F32 }
    }

    setters! {
        precision: Precision,
    }

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
                    .arrays()
                    .into_iter()
                    .try_for_each(|(what, range)| check_arena(&external.param.name, what, range))?;
            }
        }
        let named = |external: &'_ External| external.param.name.clone();
        let arrays = externals.iter().flat_map(|external| external.arrays().map(|array| (named(external), array)));
        check_overlaps(arrays.map(|(name, (what, range))| (format!("{what} of {name:?}"), range)).collect())?;
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

    fn arrays(&self) -> [(&'static str, &Range); 2] {
        [("values", &self.values), ("gradient", &self.gradient)]
    }

    /// The parameter, to be placed.
    pub(crate) fn values_array(&self) -> Array<'_> {
        self.array(&self.values, self.precision.values())
    }

    /// The gradient, to be placed.
    pub(crate) fn gradient_array(&self) -> Array<'_> {
        self.array(&self.gradient, self.precision.gradients())
    }

    fn array<'a>(&'a self, range: &'a Range, storage: Storage) -> Array<'a> {
        Array { name: &self.param.name, range, storage, elements: self.param.elements() as u64 }
    }

    fn check_sizes(&self) -> Result<(), Error> {
        let storages = [self.precision.values(), self.precision.gradients()];
        for ((what, range), storage) in self.arrays().into_iter().zip(storages) {
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

//! Parameters and gradients in a caller's own buffers.

use super::tensors::{Array, Tensors, most_of_a_page};
use super::work::{CHUNK_ELEMENTS, Part};
use super::{Error, Precision};
use crate::engine::{Engine, Range};
use crate::params::{Param, Storage};
use crate::setters::setters;

/// A parameter and its gradient in the caller's buffers: row-major, contiguous.
///
/// Values and gradients in f32 may begin at any multiple of 4 bytes, and may share a buffer. It is fastest if they
/// begin at multiples of 16 bytes, with gradients and values in different buffers. bf16 needs both.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct External {
    /// Name and shape.
    pub param: Param,
    /// The parameter's bytes; of bf16 in whole words of two.
    pub values: Range,
    /// The gradient's bytes; `None` if the parameter has no gradient yet.
    pub gradient: Option<Range>,
    /// Their types.
    pub precision: Precision,
}

impl External {
    /// A parameter in f32, without a gradient.
    pub fn new(param: Param, values: Range) -> External {
        External { param, values, gradient: None, precision: Precision::F32 }
    }

    setters! {
        gradient: Range,
        precision: Precision,
    }

    /// Checks sizes, places and overlaps of all of them, before anything is made.
    pub(crate) fn check_all(externals: &[External]) -> Result<(), Error> {
        for external in externals {
            let array = external.values_array();
            array.check("values", &external.param.shape)?;
            if let Some(array) = external.gradient_array() {
                array.check("gradient", &external.param.shape)?;
            }
        }
        let values = externals.iter().map(|external| ("values", external.param.name.as_str(), &external.values));
        let gradients = externals
            .iter()
            .filter_map(|external| Some(("gradient", external.param.name.as_str(), external.gradient.as_ref()?)));
        check_overlaps(values.chain(gradients).collect())?;
        check_sharing(externals)
    }

    /// The parameter, to be placed.
    pub(crate) fn values_array(&self) -> Array<'_> {
        self.array(&self.values, self.precision.values())
    }

    /// The gradient, to be placed.
    pub(crate) fn gradient_array(&self) -> Option<Array<'_>> {
        Some(self.array(self.gradient.as_ref()?, self.precision.gradients()))
    }

    fn array<'a>(&'a self, range: &'a Range, storage: Storage) -> Array<'a> {
        let (elements, in_quads) = (self.param.elements() as u64, self.precision != Precision::F32);
        Array { name: &self.param.name, range, storage, elements, in_quads }
    }
}

impl Array<'_> {
    /// Checks that it is inside its buffer, has the size of its shape, and begins at an allowed offset.
    pub(crate) fn check(&self, what: &'static str, shape: &[usize]) -> Result<(), Error> {
        let Array { name, range, storage, elements, in_quads } = *self;
        range.check()?;
        let needed = storage.bytes(elements.next_multiple_of(storage.block_elements()));
        if range.bytes != needed {
            let (param, shape) = (name.to_owned(), shape.to_vec());
            return Err(Error::SizesDisagree { param, what, bytes: range.bytes, shape, needed });
        }
        if !in_quads {
            return Ok(());
        }
        let param = name.to_owned();
        if !range.offset.is_multiple_of(16) {
            let reason = "a parameter in bf16 is read as vec4s";
            return Err(Error::Misaligned { param, what, offset: range.offset, alignment: 16, reason });
        }
        let end = range.offset + range.bytes;
        if end.next_multiple_of(16) > range.buffer.bytes() {
            let buffer = &range.buffer;
            let reason = format!(
                "its {what} end at byte {end} of {buffer:?}, which lacks the bytes up to the next multiple of 16 that are read where a parameter is in bf16"
            );
            return Err(Error::Unsuited { param, reason });
        }
        Ok(())
    }
}

/// A buffer of bf16 is bound either read-only or writable: values in bf16 must be in other buffers than gradients.
fn check_sharing(externals: &[External]) -> Result<(), Error> {
    for External { param, values, .. } in externals.iter().filter(|external| external.precision != Precision::F32) {
        let in_one =
            |other: &&External| other.gradient.as_ref().is_some_and(|gradient| gradient.buffer.same(&values.buffer));
        if let Some(External { param: other, .. }) = externals.iter().find(in_one) {
            let (buffer, other) = (values.buffer.label(), &other.name);
            let reason =
                format!("its values are in bf16, and their buffer {buffer:?} also holds the gradient of {other:?}");
            return Err(Error::Unsuited { param: param.name.clone(), reason });
        }
    }
    Ok(())
}

/// How a caller's parameters are updated where they lie in `values`: whole as vec4s; or, where they begin or end in a vec4
/// that is not theirs alone, with single floats there. Moments in f32 are cut alike; others have blocks that begin with the
/// tensor, so that all of it takes single floats.
pub(crate) fn parts_of(engine: &Engine, values: &Tensors, externals: &[(&Range, Precision)]) -> Vec<Vec<Part>> {
    let mut begins: Vec<&Range> = externals.iter().map(|(range, _)| *range).collect();
    begins.sort_by(|a, b| a.buffer.order(&b.buffer).then(a.offset.cmp(&b.offset)));
    let part = |(tensor, (range, precision)): (usize, &(&Range, Precision))| {
        let elements = values.pieces[tensor].iter().map(|piece| piece.elements).sum();
        if *precision != Precision::F32 {
            return Part::whole(elements).to_vec();
        }
        let end = range.offset + range.bytes;
        let next =
            begins.partition_point(|other| other.buffer.order(&range.buffer).then(other.offset.cmp(&end)).is_lt());
        let is_taken = |other: &&Range| other.buffer.same(&range.buffer) && other.offset < end.next_multiple_of(16);
        let is_free = begins.get(next).is_none_or(|other| !is_taken(other));
        let head = ((16 - range.offset % 16) % 16 / 4).min(elements);
        let tail = if is_free && values.ends_in_quads(tensor) { 0 } else { (elements - head) % 4 };
        if head == 0 && tail == 0 {
            return Part::whole(elements).to_vec();
        }
        // A small one has no dispatch for its middle; of a large one, chunks of the middle would end past a page.
        if elements <= CHUNK_ELEMENTS || range.bytes > most_of_a_page(engine) {
            return vec![Part { elements, has_single_params: true }];
        }
        let part = |elements, has_single_params| Part { elements, has_single_params };
        let parts = [part(head, true), part(elements - head - tail, false), part(tail, true)];
        parts.into_iter().filter(|part| part.elements > 0).collect()
    };
    externals.iter().enumerate().map(part).collect()
}

/// No two ranges may overlap: one would be updated while the other is read. Each names its parameter.
pub(crate) fn check_overlaps(mut ranges: Vec<(&'static str, &str, &Range)>) -> Result<(), Error> {
    // By first byte; a range can then only overlap one that begins before it ends.
    ranges.sort_by(|(_, _, a), (_, _, b)| a.buffer.order(&b.buffer).then(a.offset.cmp(&b.offset)));
    for pair in ranges.windows(2) {
        let [(first, param, range), (second, other, behind)] = pair else { continue };
        if range.overlaps(behind) {
            let named = |what: &str, param: &str| format!("{what} of {param:?}");
            let buffer = range.buffer.label().to_owned();
            return Err(Error::Overlap { first: named(first, param), second: named(second, other), buffer });
        }
    }
    Ok(())
}

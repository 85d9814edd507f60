//! Parameters in arenas of our own.

use super::arena::Stream;
use super::{Error, work};
use crate::engine::layout::Code;
use crate::engine::{self, Buffer, Engine, Piece, Placement, Range};
use crate::params::{self, Param, Storage, nearest};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::sync::atomic::{AtomicU64, Ordering};

/// Named parameters on a device, in pages; each starts at a 256-byte boundary.
#[derive(Debug)]
pub struct Parameters {
    engine: Engine,
    params: Vec<Param>,
    placement: Placement,
    pages: Vec<Buffer>,
    uploads: AtomicU64,
}

impl Parameters {
    /// Room for these parameters, all zero. A page is as large as the device can bind, or `page_bytes` if that is less.
    ///
    /// # Errors
    /// An empty list, equal names, a shape without elements; out of device memory.
    pub fn new(engine: &Engine, params: &[Param], page_bytes: Option<u64>) -> Result<Parameters, Error> {
        Param::check_all(params)?;
        let lengths: Vec<u64> = params.iter().map(|param| param.elements() as u64).collect();
        let page_bytes = page_bytes.unwrap_or(u64::MAX).min(engine.page_bytes());
        let placement = engine::place(&lengths, page_bytes, work::CHUNK_ELEMENTS);
        let page = |(number, elements): (usize, &u64)| engine.buffer(&format!("params.{number}"), elements * 4);
        let pages = placement.pages.iter().enumerate().map(page).collect::<Result<_, _>>()?;
        Ok(Parameters { engine: engine.clone(), params: params.to_vec(), placement, pages, uploads: AtomicU64::new(0) })
    }

    /// The parameters, in order.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// Pages in use.
    pub fn pages(&self) -> &[Buffer] {
        &self.pages
    }

    /// Bytes in use, alignment included.
    pub fn bytes(&self) -> u64 {
        self.pages.iter().map(Buffer::bytes).sum()
    }

    fn windows(&self) -> Vec<Range> {
        self.pages.iter().map(Buffer::all).collect()
    }

    pub(super) fn pieces(&self, param: usize) -> &[Piece] {
        &self.placement.pieces[param]
    }

    pub(super) fn index(&self, name: &str) -> Result<usize, Error> {
        Ok(index_of(&self.params, name)?)
    }

    /// Where a parameter lies, for a kernel that binds it whole.
    ///
    /// # Errors
    /// An unknown name; [`engine::Error::TooLarge`] for a parameter that does not fit one page.
    pub fn range(&self, name: &str) -> Result<Range, Error> {
        let index = self.index(name)?;
        one_range(&self.params[index], &f32s(self.pieces(index), &self.windows()))
    }

    /// Writes a parameter's values, row-major.
    ///
    /// # Errors
    /// An unknown name, or a number of values that is not the shape's.
    pub fn upload(&self, name: &str, values: &[f32]) -> Result<(), Error> {
        let index = self.index(name)?;
        check_length(&self.params[index], "values", values.len())?;
        self.uploads.fetch_add(1, Ordering::AcqRel);
        f32s(self.pieces(index), &self.windows()).upload(&self.engine, values)
    }

    /// A number that changes whenever values are uploaded: what was computed from those before is no longer true.
    pub fn uploads(&self) -> u64 {
        self.uploads.load(Ordering::Acquire)
    }

    /// Reads a parameter's values, row-major. Waits for the device.
    ///
    /// # Errors
    /// An unknown name, or a lost device.
    pub fn download(&self, name: &str) -> Result<Vec<f32>, Error> {
        let index = self.index(name)?;
        let windows = self.windows();
        let stream = f32s(self.pieces(index), &windows);
        Ok(stream.widened(&download_all(&self.engine, &[stream])?.remove(0)))
    }
}

impl Parameters {
    /// Takes every parameter from a safetensors file, by name; F32, and F16, BF16 and F64 converted. What else is in the
    /// file is left alone. The whole file is checked before anything changes.
    ///
    /// # Errors
    /// [`Error::BadFile`] naming the tensor that is missing or has another shape or type.
    pub fn load(&self, file: &[u8]) -> Result<(), Error> {
        let file = SafeTensors::deserialize(file).map_err(|error| Error::BadFile(error.to_string()))?;
        let mut loaded = Vec::with_capacity(self.params.len());
        for param in &self.params {
            loaded.push(floats(&file, &param.name, &param.shape)?);
        }
        for (param, values) in self.params.iter().zip(&loaded) {
            self.upload(&param.name, values)?;
        }
        Ok(())
    }

    /// Every parameter, as a safetensors file. Waits for the device.
    ///
    /// # Errors
    /// From the device.
    pub fn save(&self) -> Result<Vec<u8>, Error> {
        let windows = self.windows();
        let streams: Vec<Stream<'_>> = self.placement.pieces.iter().map(|pieces| f32s(pieces, &windows)).collect();
        let values = download_all(&self.engine, &streams)?;
        let bad = |error: safetensors::SafeTensorError| Error::BadFile(error.to_string());
        let mut views = Vec::with_capacity(values.len());
        for (param, values) in self.params.iter().zip(&values) {
            let view = TensorView::new(Dtype::F32, param.shape.clone(), values).map_err(bad)?;
            views.push((param.name.as_str(), view));
        }
        safetensors::serialize(views, None).map_err(bad)
    }
}

pub(super) fn index_of(params: &[Param], name: &str) -> Result<usize, params::Error> {
    params.iter().position(|param| param.name == name).ok_or_else(|| params::Error::UnknownParam {
        name: name.to_owned(),
        nearest: nearest(name, params.iter().map(|param| param.name.as_str())).map(str::to_owned),
    })
}

pub(super) fn check_length(param: &Param, what: &'static str, values: usize) -> Result<(), Error> {
    if values == param.elements() {
        return Ok(());
    }
    Err(Error::SizesDisagree {
        param: param.name.clone(),
        what,
        bytes: values as u64 * 4,
        shape: param.shape.clone(),
        needed: param.elements() as u64 * 4,
    })
}

/// Pieces of a parameter or a gradient in their windows.
pub(super) fn f32s<'a>(pieces: &'a [Piece], windows: &'a [Range]) -> Stream<'a> {
    Stream { pieces, windows, storage: Storage::F32, code: Code::Signed }
}

pub(super) fn one_range(param: &Param, stream: &Stream<'_>) -> Result<Range, Error> {
    let mut ranges = stream.ranges();
    match (ranges.next(), ranges.next()) {
        (Some(range), None) => Ok(range),
        _ => {
            let limit = stream.windows.iter().map(|window| window.bytes).max().unwrap_or(0);
            let bytes = param.elements() as u64 * 4;
            Err(engine::Error::TooLarge { label: param.name.clone(), bytes, limit }.into())
        }
    }
}

/// Bytes that are read back at once: few waits, and no more host memory than need be.
const READ_BYTES: u64 = 256 << 20;

/// The elements of streams, as they are stored. Waits for the device once for every 256 MiB.
pub(super) fn download_all(engine: &Engine, streams: &[Stream<'_>]) -> Result<Vec<Vec<u8>>, Error> {
    let mut values = Vec::with_capacity(streams.len());
    let mut rest = streams;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|stream| {
            bytes += stream.bytes();
            bytes <= READ_BYTES
        });
        let (now, later) = rest.split_at(fits.count().max(1));
        let mut read = engine.read_all(&now.iter().flat_map(Stream::ranges).collect::<Vec<Range>>())?.into_iter();
        for stream in now {
            let mut bytes: Vec<u8> = read.by_ref().take(stream.pieces.len()).flatten().collect();
            // Only the last piece has padding.
            bytes.truncate(stream.bytes() as usize);
            values.push(bytes);
        }
        rest = later;
    }
    Ok(values)
}

/// A float tensor of this shape, as f32.
pub(super) fn floats(file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
    let view = file.tensor(name).map_err(|_| Error::BadFile(format!("{name:?} is missing")))?;
    let data = view.data();
    let values = match view.dtype() {
        Dtype::F32 => bytemuck::pod_collect_to_vec(data),
        Dtype::F16 => data.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::BF16 => data.as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::F64 => data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect(),
        other => return Err(Error::BadFile(format!("{name:?} is {other:?}, not a float"))),
    };
    if view.shape() != shape {
        let found = view.shape();
        return Err(Error::BadFile(format!("{name:?} is of shape {found:?}, not {shape:?}")));
    }
    Ok(values)
}

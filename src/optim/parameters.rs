//! Parameters in arenas of our own.

use super::{Error, work};
use crate::engine::{self, Buffer, Engine, Piece, Placement, Range};
use crate::params::{self, Param, nearest};
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
        let pages = buffers(engine, "params", &placement.pages)?;
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
        one_range(&self.params[index], self.pieces(index), &self.pages)
    }

    /// Writes a parameter's values, row-major.
    ///
    /// # Errors
    /// An unknown name, or a number of values that is not the shape's.
    pub fn upload(&self, name: &str, values: &[f32]) -> Result<(), Error> {
        let index = self.index(name)?;
        check_length(&self.params[index], "values", values.len())?;
        let windows: Vec<Range> = self.pages.iter().map(Buffer::all).collect();
        self.uploads.fetch_add(1, Ordering::AcqRel);
        upload_pieces(&self.engine, self.pieces(index), &windows, values)
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
        Ok(download_all(&self.engine, &[(self.pieces(index), &self.pages)])?.remove(0))
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
        let tensors: Vec<Tensor> = self.placement.pieces.iter().map(|pieces| (&pieces[..], &self.pages[..])).collect();
        let values = download_all(&self.engine, &tensors)?;
        let bad = |error: safetensors::SafeTensorError| Error::BadFile(error.to_string());
        let mut views = Vec::with_capacity(values.len());
        for (param, values) in self.params.iter().zip(&values) {
            let bytes = bytemuck::cast_slice(values);
            let view = TensorView::new(Dtype::F32, param.shape.clone(), bytes).map_err(bad)?;
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

/// A zeroed buffer for each page.
pub(super) fn buffers(engine: &Engine, label: &str, pages: &[u64]) -> Result<Vec<Buffer>, Error> {
    let page = |(number, elements): (usize, &u64)| engine.buffer(&format!("{label}.{number}"), elements * 4);
    Ok(pages.iter().enumerate().map(page).collect::<Result<_, _>>()?)
}

/// The bytes of a piece in its page.
pub(super) fn piece_range(piece: &Piece, pages: &[Buffer]) -> Range {
    Range { buffer: pages[piece.window].clone(), offset: piece.offset * 4, bytes: piece.elements * 4 }
}

/// The bytes of a piece in its window.
pub(super) fn window_range(piece: &Piece, windows: &[Range]) -> Range {
    let Range { buffer, offset, .. } = &windows[piece.window];
    Range { buffer: buffer.clone(), offset: offset + piece.offset * 4, bytes: piece.elements * 4 }
}

pub(super) fn one_range(param: &Param, pieces: &[Piece], pages: &[Buffer]) -> Result<Range, Error> {
    match pieces {
        [piece] => Ok(piece_range(piece, pages)),
        _ => {
            let limit = pages.iter().map(Buffer::bytes).max().unwrap_or(0);
            let bytes = param.elements() as u64 * 4;
            Err(engine::Error::TooLarge { label: param.name.clone(), bytes, limit }.into())
        }
    }
}

/// Writes values into the pieces of a tensor that lie in these windows.
pub(super) fn upload_pieces(engine: &Engine, pieces: &[Piece], windows: &[Range], values: &[f32]) -> Result<(), Error> {
    let mut rest = values;
    for piece in pieces {
        let (these, after) = rest.split_at(piece.elements as usize);
        let window = &windows[piece.window];
        engine.write(&window.buffer, window.offset + piece.offset * 4, these)?;
        rest = after;
    }
    Ok(())
}

/// The pieces of a tensor, and the pages that they lie in.
pub(super) type Tensor<'a> = (&'a [Piece], &'a [Buffer]);

/// Bytes that are read back at once: few waits, and no more host memory than need be.
const READ_BYTES: u64 = 256 << 20;

/// The values of tensors. Waits for the device once for every 256 MiB.
pub(super) fn download_all(engine: &Engine, tensors: &[Tensor<'_>]) -> Result<Vec<Vec<f32>>, Error> {
    let bytes_of = |(pieces, _): &Tensor<'_>| pieces.iter().map(|piece| piece.elements * 4).sum::<u64>();
    let mut values = Vec::with_capacity(tensors.len());
    let mut rest = tensors;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|tensor| {
            bytes += bytes_of(tensor);
            bytes <= READ_BYTES
        });
        let (now, later) = rest.split_at(fits.count().max(1));
        let ranges = now.iter().flat_map(|(pieces, pages)| pieces.iter().map(|piece| piece_range(piece, pages)));
        let mut read = engine.read_all(&ranges.collect::<Vec<Range>>())?.into_iter();
        for (pieces, _) in now {
            let parts = read.by_ref().take(pieces.len());
            values.push(parts.flat_map(|bytes| bytemuck::pod_collect_to_vec::<u8, f32>(&bytes)).collect());
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

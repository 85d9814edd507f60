//! Parameters in arenas of our own.

use super::arena::{Stream, alignment};
use super::tensors::Tensors;
use super::{Error, Precision, work};
use crate::engine::{self, Buffer, Engine, Piece, Range};
use crate::params::{self, Param, Storage, nearest};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::sync::atomic::{AtomicU64, Ordering};

/// Named parameters on a device, in pages; each starts at a 256-byte boundary.
#[derive(Debug)]
pub struct Parameters {
    engine: Engine,
    params: Vec<Param>,
    precisions: Vec<Precision>,
    tensors: Tensors,
    pages: Vec<Buffer>,
    uploads: AtomicU64,
    /// What lies beside the parameters and is none.
    buffers: Option<Box<Parameters>>,
}

impl Parameters {
    /// Room for these parameters in f32, all zero. A page is as large as the device can bind, or `page_bytes` if that is
    /// less.
    ///
    /// # Errors
    /// An empty list, equal names, a shape without elements; out of device memory.
    pub fn new(engine: &Engine, params: &[Param], page_bytes: Option<u64>) -> Result<Parameters, Error> {
        Parameters::stored(engine, params, |_| Precision::F32, page_bytes)
    }

    /// The same with the types that `of` returns for each; the optimizer's gradients have them too. Parameters of one
    /// type share pages.
    ///
    /// # Errors
    /// As [`Parameters::new`].
    pub fn stored(
        engine: &Engine,
        params: &[Param],
        of: impl Fn(&Param) -> Precision,
        page_bytes: Option<u64>,
    ) -> Result<Parameters, Error> {
        Param::check_all(params)?;
        let page_bytes = page_bytes.unwrap_or(u64::MAX).min(engine.page_bytes());
        let precisions: Vec<Precision> = params.iter().map(of).collect();
        let mut tensors = Tensors { pieces: vec![Vec::new(); params.len()], ..Tensors::default() };
        let mut pages = Vec::new();
        for storage in [Storage::F32, Storage::Bf16] {
            let these: Vec<usize> = (0..params.len()).filter(|at| precisions[*at].values() == storage).collect();
            let lengths: Vec<u64> = these.iter().map(|at| params[*at].elements() as u64).collect();
            let placement = engine::place_at(alignment(storage), &lengths, page_bytes, work::CHUNK_ELEMENTS);
            let before = pages.len();
            for (at, pieces) in these.into_iter().zip(placement.pieces) {
                let shifted = |piece: Piece| Piece { page: before + piece.page, ..piece };
                tensors.pieces[at] = pieces.into_iter().map(shifted).collect();
            }
            for elements in placement.pages {
                let page = engine.buffer(&format!("params.{}", pages.len()), storage.bytes(elements))?;
                tensors.add(page.all(), storage);
                pages.push(page);
            }
        }
        let (engine, params) = (engine.clone(), params.to_vec());
        Ok(Parameters { engine, params, precisions, tensors, pages, uploads: AtomicU64::new(0), buffers: None })
    }

    /// The same with room for these buffers in f32, all zero: state of a model that is no parameter, such as running
    /// statistics. They have names and values as parameters have, and are in the same files. No optimizer updates them and no
    /// group has them; a best copy holds them.
    ///
    /// # Errors
    /// A name that a parameter or another buffer has, a shape without elements; out of device memory.
    pub fn with_buffers(self, buffers: &[Param]) -> Result<Parameters, Error> {
        if buffers.is_empty() {
            return Ok(self);
        }
        Param::check_all(&[&self.params, buffers].concat())?;
        let buffers = Parameters::new(&self.engine, buffers, None)?;
        Ok(Parameters { buffers: Some(Box::new(buffers)), ..self })
    }

    /// The buffers, in order.
    pub fn buffers(&self) -> &[Param] {
        self.buffers.as_ref().map_or(&[], |buffers| &buffers.params)
    }

    /// Where the buffers lie.
    pub(crate) fn buffer_ranges(&self) -> Vec<Range> {
        self.buffers.iter().flat_map(|buffers| &buffers.pages).map(Buffer::all).collect()
    }

    /// Where a parameter is, or a buffer: of which, and its number there.
    fn find(&self, name: &str) -> Result<(&Parameters, usize), Error> {
        let in_buffers = self.buffers.as_deref().and_then(|buffers| Some((buffers, buffers.index(name).ok()?)));
        in_buffers.map_or_else(|| Ok((self, self.index(name)?)), Ok)
    }

    /// The parameters, in order.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The types of each, in order.
    pub fn precisions(&self) -> &[Precision] {
        &self.precisions
    }

    /// Pages in use.
    pub fn pages(&self) -> &[Buffer] {
        &self.pages
    }

    /// Bytes in use, alignment included.
    pub fn bytes(&self) -> u64 {
        self.pages.iter().map(Buffer::bytes).sum()
    }

    pub(super) fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    fn stream(&self, param: usize) -> Stream<'_> {
        self.tensors.stream(param, self.precisions[param].values())
    }

    fn streams(&self) -> impl Iterator<Item = Stream<'_>> {
        (0..self.params.len()).map(|param| self.stream(param))
    }

    pub(super) fn index(&self, name: &str) -> Result<usize, Error> {
        Ok(index_of(&self.params, name)?)
    }

    /// The place of a parameter or a buffer, for a kernel that binds it whole, and its storage.
    ///
    /// # Errors
    /// An unknown name; [`engine::Error::TooLarge`] for a parameter that does not fit one page.
    pub fn place(&self, name: &str) -> Result<(Range, Storage), Error> {
        let (of, index) = self.find(name)?;
        let stream = of.stream(index);
        Ok((one_range(&of.params[index], &stream)?, stream.storage))
    }

    /// Writes the values of a parameter or a buffer, row-major.
    ///
    /// # Errors
    /// An unknown name, or a number of values that is not the shape's.
    pub fn upload(&self, name: &str, values: &[f32]) -> Result<(), Error> {
        let (of, index) = self.find(name)?;
        check_length(&of.params[index], "values", values.len())?;
        self.uploads.fetch_add(1, Ordering::AcqRel);
        of.stream(index).upload(&self.engine, values)
    }

    /// A number that changes with every upload of values: results computed from earlier values are then invalid.
    pub fn uploads(&self) -> u64 {
        self.uploads.load(Ordering::Acquire)
    }

    /// Reads the values of a parameter or a buffer, row-major. Waits for the device.
    ///
    /// # Errors
    /// An unknown name, or a lost device.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, Error> {
        let (of, index) = self.find(name)?;
        let stream = of.stream(index);
        Ok(stream.widened(&download_all(&self.engine, &[stream])?.remove(0)))
    }
}

impl Parameters {
    /// Takes every parameter and buffer from a safetensors file, by name, converting F16, BF16, F32 or F64 to the nearest. Other
    /// tensors in the file are ignored. The whole file is checked before anything changes.
    ///
    /// # Errors
    /// [`Error::BadFile`] naming the tensor that is missing or has another shape or type.
    pub fn load(&self, file: &[u8]) -> Result<(), Error> {
        let file = SafeTensors::deserialize(file).map_err(|error| Error::BadFile(error.to_string()))?;
        let all = || self.params.iter().chain(self.buffers());
        let loaded: Vec<Vec<f32>> =
            all().map(|param| floats(&file, &param.name, &param.shape)).collect::<Result<_, _>>()?;
        for (param, values) in all().zip(&loaded) {
            self.upload(&param.name, values)?;
        }
        Ok(())
    }

    /// Every parameter and buffer, as a safetensors file, in the type that it is stored in. Waits for the device.
    ///
    /// # Errors
    /// From the device.
    pub fn read_file(&self) -> Result<Vec<u8>, Error> {
        let both = [Some(self), self.buffers.as_deref()];
        let streams: Vec<Stream<'_>> = both.into_iter().flatten().flat_map(Parameters::streams).collect();
        let values = download_all(&self.engine, &streams)?;
        let bad = |error: safetensors::SafeTensorError| Error::BadFile(error.to_string());
        let mut views = Vec::with_capacity(values.len());
        for ((param, stream), values) in self.params.iter().chain(self.buffers()).zip(&streams).zip(&values) {
            let view = TensorView::new(type_of(stream.storage), param.shape.clone(), values).map_err(bad)?;
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

/// What a storage is in a file: bf16 has every number that a byte may stand for.
pub(super) fn type_of(storage: Storage) -> Dtype {
    match storage {
        Storage::F32 => Dtype::F32,
        Storage::Bf16 | Storage::Int8 => Dtype::BF16,
    }
}

pub(super) fn one_range(param: &Param, stream: &Stream<'_>) -> Result<Range, Error> {
    let mut ranges = stream.ranges();
    match (ranges.next(), ranges.next()) {
        (Some(range), None) => Ok(range),
        _ => {
            let limit = stream.pages.iter().map(|page| page.bytes).max().unwrap_or(0);
            let bytes = stream.bytes();
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
    if view.shape() != shape {
        let found = view.shape();
        return Err(Error::BadFile(format!("{name:?} is of shape {found:?}, not {shape:?}")));
    }
    params::floats(&view).ok_or_else(|| Error::BadFile(format!("{name:?} is {:?}, not a float", view.dtype())))
}

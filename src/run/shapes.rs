//! The names and shapes of a model that need not be loaded.

use super::Error;
use super::file_kind::{TELLING_BYTES, other_than_safetensors};
use crate::params::Param;
use crate::train::files;
use safetensors::tensor::Metadata;
use std::io::{Read, Seek};
use std::path::Path;

/// Longest header that a safetensors file may have.
const MOST_HEADER_BYTES: u64 = 100_000_000;

/// The parameters of a safetensors file, in its order. Only the header is read.
///
/// # Errors
/// [`Error::Unreadable`], [`Error::BadFile`].
pub fn shapes(path: &Path) -> Result<Vec<Param>, Error> {
    let unreadable = |error: std::io::Error| Error::unreadable(path, &error);
    let mut file = files::open(path).map_err(unreadable)?;
    let mut beginning = Vec::new();
    (&mut file).take(TELLING_BYTES as u64).read_to_end(&mut beginning).map_err(unreadable)?;
    if let Some(reason) = other_than_safetensors(path, &beginning) {
        return Err(Error::bad_file(path, reason));
    }
    file.rewind().map_err(unreadable)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)
        .map_err(|_| Error::bad_file(path, "not a safetensors file: it is shorter than 8 bytes"))?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MOST_HEADER_BYTES {
        return Err(Error::bad_file(
            path,
            format!("not a safetensors file: its header would have {header_bytes} bytes"),
        ));
    }
    let mut header = Vec::new();
    file.take(header_bytes).read_to_end(&mut header).map_err(unreadable)?;
    let tensors: Metadata = serde_json::from_slice(&header)
        .map_err(|error| Error::bad_file(path, format!("not a safetensors file: {error}")))?;
    let params = tensors.offset_keys().into_iter().filter_map(|name| {
        let shape = tensors.info(&name)?.shape.clone();
        Some(Param::new(name, shape))
    });
    Ok(params.collect())
}

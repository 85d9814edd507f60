//! IDX files, as MNIST and its like come in: four bytes of kind, the sizes, the numbers.

use super::Error;
use crate::train::files;
use std::path::Path;

/// Numbers as bytes, `[rows, …]`.
pub(super) struct Idx {
    pub(super) sizes: Vec<usize>,
    pub(super) bytes: Vec<u8>,
}

impl Idx {
    /// Reads a file of unsigned bytes.
    pub(super) fn read(path: &Path) -> Result<Idx, Error> {
        let bytes = files::read(path).map_err(|error| Error::unreadable(path, &error))?;
        let bad = |reason: &str| Error::bad_file(path, reason);
        if bytes.starts_with(&[0x1f, 0x8b]) {
            return Err(bad("it is packed: unpack it with gunzip first"));
        }
        let &[0, 0, kind, dimensions, ..] = bytes.as_slice() else {
            return Err(bad("not an IDX file: it does not start with two zeros, a type and a number of dimensions"));
        };
        if kind != 0x08 {
            return Err(bad(&format!("its numbers are of the type 0x{kind:02x}; unsigned bytes, 0x08, are read here")));
        }
        let head = 4 + 4 * usize::from(dimensions);
        let sizes = bytes.get(4..head).ok_or_else(|| bad("it ends before its sizes do"))?;
        let sizes: Vec<usize> =
            sizes.as_chunks::<4>().0.iter().map(|size| u32::from_be_bytes(*size) as usize).collect();
        let there = bytes.len() - head;
        let wanted = sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
        if sizes.is_empty() || sizes.contains(&0) || wanted != Some(there) {
            return Err(bad(&format!("its sizes are {sizes:?}, and {there} bytes follow")));
        }
        Ok(Idx { bytes: bytes[head..].to_vec(), sizes })
    }

    /// Rows.
    pub(super) fn rows(&self) -> usize {
        self.sizes[0]
    }

    /// Numbers a row.
    pub(super) fn width(&self) -> usize {
        self.sizes[1..].iter().product()
    }
}

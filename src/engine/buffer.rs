//! Device memory: a named buffer on one engine, and a range of one.

use super::Error;
use std::cmp::Ordering;
use std::fmt;
use std::sync::{Arc, Mutex};

/// Device memory with a name. Cloning gives another handle to the same memory, which is freed with the last handle.
#[derive(Clone)]
pub struct Buffer {
    inner: Arc<Inner>,
}

struct Inner {
    label: String,
    bytes: u64,
    memory: Memory,
}

/// Where a buffer's bytes are.
pub(crate) enum Memory {
    /// With the number of its engine: handles of wgpu are numbers too, which two instances give twice.
    Gpu(wgpu::Buffer, u64),
    /// 32-bit words: every type in a shader is made of them, and the alignment holds.
    Cpu(Mutex<Vec<u32>>),
}

impl Buffer {
    pub(crate) fn gpu(label: &str, buffer: wgpu::Buffer, engine: u64) -> Buffer {
        let bytes = buffer.size();
        Buffer::new(label, bytes, Memory::Gpu(buffer, engine))
    }

    pub(crate) fn cpu(label: &str, bytes: u64) -> Result<Buffer, Error> {
        let out_of_memory = || Error::OutOfMemory { label: label.to_owned(), bytes };
        let words = usize::try_from(bytes.div_ceil(4)).map_err(|_| out_of_memory())?;
        let mut memory: Vec<u32> = Vec::new();
        memory.try_reserve_exact(words).map_err(|_| out_of_memory())?;
        memory.resize(words, 0);
        Ok(Buffer::new(label, bytes, Memory::Cpu(Mutex::new(memory))))
    }

    fn new(label: &str, bytes: u64, memory: Memory) -> Buffer {
        let label = label.to_owned();
        Buffer { inner: Arc::new(Inner { label, bytes, memory }) }
    }

    /// The name it was made with.
    pub fn label(&self) -> &str {
        &self.inner.label
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.inner.bytes
    }

    /// The buffer underneath, for a program's own passes; `None` on the CPU engine.
    pub fn wgpu(&self) -> Option<&wgpu::Buffer> {
        match &self.inner.memory {
            Memory::Gpu(buffer, _) => Some(buffer),
            Memory::Cpu(_) => None,
        }
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.inner.memory
    }

    /// Whether two handles name the same memory.
    pub fn same(&self, other: &Buffer) -> bool {
        self.order(other).is_eq()
    }

    /// An order in which handles of the same memory are equal.
    pub(crate) fn order(&self, other: &Buffer) -> Ordering {
        match (&self.inner.memory, &other.inner.memory) {
            (Memory::Gpu(a, on), Memory::Gpu(b, other)) => on.cmp(other).then_with(|| a.cmp(b)),
            _ => Arc::as_ptr(&self.inner).cmp(&Arc::as_ptr(&other.inner)),
        }
    }

    /// The whole buffer as a range.
    pub fn all(&self) -> Range {
        Range { buffer: self.clone(), offset: 0, bytes: self.bytes() }
    }

    /// `bytes` bytes from `offset` on.
    ///
    /// # Errors
    /// [`Error::BadRange`] if the range is empty, not made of whole 32-bit words, or reaches past the end.
    pub fn range(&self, offset: u64, bytes: u64) -> Result<Range, Error> {
        let bad = |reason| {
            let end = offset.saturating_add(bytes);
            Err(Error::BadRange { label: self.label().to_owned(), bytes: self.bytes(), offset, end, reason })
        };
        if bytes == 0 {
            return bad("is empty");
        }
        if !offset.is_multiple_of(4) || !bytes.is_multiple_of(4) {
            return bad("offset and length must be multiples of 4 bytes");
        }
        match offset.checked_add(bytes) {
            Some(end) if end <= self.bytes() => Ok(Range { buffer: self.clone(), offset, bytes }),
            _ => bad("reaches past the end"),
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{} B]", self.label(), self.bytes())
    }
}

/// Some bytes of a buffer, one after the other.
#[derive(Clone)]
pub struct Range {
    /// The buffer.
    pub buffer: Buffer,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
}

impl Range {
    /// Whether the range lies in its buffer; see [`Buffer::range`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.buffer.range(self.offset, self.bytes).map(|_| ())
    }

    /// Whether two ranges share a byte of the same memory.
    pub fn overlaps(&self, other: &Range) -> bool {
        self.buffer.same(&other.buffer)
            && self.offset < other.offset + other.bytes
            && other.offset < self.offset + self.bytes
    }
}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}..{}]", self.buffer.label(), self.offset, self.offset + self.bytes)
    }
}

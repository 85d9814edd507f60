//! An engine's buffers: made, written and read.

use super::{Buffer, Engine, Error, Inner, Range, Submission, Upload, cpu};

impl Engine {
    /// A buffer of zeros, at least 16 bytes and in whole 32-bit words.
    ///
    /// # Errors
    /// [`Error::TooLarge`] or [`Error::OutOfMemory`], with the buffer's name and size.
    pub fn buffer(&self, label: &str, bytes: u64) -> Result<Buffer, Error> {
        let whole_words = bytes.max(16).checked_next_multiple_of(4);
        let bytes = whole_words.ok_or_else(|| Error::OutOfMemory { label: label.to_owned(), bytes })?;
        match &*self.inner {
            Inner::Gpu(gpu) => gpu.buffer(label, bytes),
            Inner::Cpu(_) => Buffer::cpu(label, bytes),
        }
    }

    /// A buffer holding `data`, whole 32-bit words. As nothing refers to it yet, the bytes go straight to the queue and
    /// need no submission of their own.
    ///
    /// # Errors
    /// As [`Engine::buffer`] and [`Engine::write`].
    pub fn buffer_with<T: bytemuck::NoUninit>(&self, label: &str, data: &[T]) -> Result<Buffer, Error> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let buffer = self.buffer(label, bytes.len() as u64)?;
        if bytes.is_empty() {
            return Ok(buffer);
        }
        let range = buffer.range(0, bytes.len() as u64)?;
        self.tally().upload(range.bytes);
        match &*self.inner {
            Inner::Gpu(gpu) => gpu.fill(&buffer, bytes)?,
            Inner::Cpu(_) => cpu::write(&range, bytes)?,
        }
        Ok(buffer)
    }

    /// Takes a buffer that the caller made on this engine's device.
    ///
    /// # Errors
    /// [`Error::MissingUsage`] if it cannot be bound as storage, [`Error::ForeignBuffer`] on the CPU engine.
    pub fn import(&self, label: &str, buffer: &wgpu::Buffer) -> Result<Buffer, Error> {
        let Inner::Gpu(gpu) = &*self.inner else {
            return Err(Error::ForeignBuffer { label: label.to_owned() });
        };
        if !buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
            let (label, bytes) = (label.to_owned(), buffer.size());
            return Err(Error::MissingUsage { label, bytes, needed: "STORAGE" });
        }
        Ok(Buffer::gpu(label, buffer.clone(), gpu.number))
    }

    /// Copies `data` into a buffer, in a submission of its own.
    ///
    /// # Errors
    /// [`Error::BadRange`] if it does not fit.
    pub fn write<T: bytemuck::NoUninit>(&self, buffer: &Buffer, offset: u64, data: &[T]) -> Result<(), Error> {
        let upload = Upload { buffer: buffer.clone(), offset, data: bytemuck::cast_slice(data).to_vec() };
        self.submit(&Submission { uploads: vec![upload], ..Submission::default() })
    }

    /// Brings bytes back and waits for them. For results, checkpoints and tests; a step uses a [`Ring`](super::Ring).
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Validation`].
    pub fn read<T: bytemuck::Pod>(&self, range: &Range) -> Result<Vec<T>, Error> {
        let bytes = self.read_all(std::slice::from_ref(range))?;
        Ok(bytes.iter().flat_map(|bytes| bytemuck::pod_collect_to_vec::<u8, T>(bytes)).collect())
    }

    /// Brings several ranges back with one wait.
    ///
    /// # Errors
    /// As [`Engine::read`].
    pub fn read_all(&self, ranges: &[Range]) -> Result<Vec<Vec<u8>>, Error> {
        ranges.iter().try_for_each(Range::check)?;
        match &*self.inner {
            Inner::Gpu(gpu) => gpu.read(ranges),
            Inner::Cpu(cpu) => {
                let _turn = cpu.turn.lock();
                cpu.tally.download(ranges.iter().map(|range| range.bytes).sum());
                ranges.iter().map(cpu::read).collect()
            }
        }
    }
}

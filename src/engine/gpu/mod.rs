//! The engine that runs the shaders, through wgpu.

mod cache;
mod commands;
mod pipelines;
mod polls;
mod reports;

use super::adapter::{AdapterReport, binding_bytes};
use super::buffer::{Buffer, Memory};
use super::counters::Tally;
use super::faults::{Faults, Scopes};
use super::kernels::Shaders;
use super::{CLOCK_SLOTS, Error, cooperative};
use pipelines::Pipelines;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

pub(super) use pipelines::GpuDispatch;

/// Bytes of one clock slot that a shader sees.
const CLOCK_BYTES: u32 = 16;

/// Engines made so far.
static ENGINES: AtomicU64 = AtomicU64::new(0);

pub(crate) struct Gpu {
    /// Of this engine, and of no other in the process.
    pub(super) number: u64,
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) limits: wgpu::Limits,
    pub(crate) report: AdapterReport,
    /// Invocations of a subgroup, if it multiplies cooperative matrices.
    pub(crate) cooperative_subgroup: Option<u32>,
    /// Whether the device is ours, with our handlers on it.
    own: bool,
    /// Whether the device has timestamps.
    pub(super) timestamps: bool,
    /// Slot k of the clock holds k: a step gives its kernels its place by an offset, without an upload.
    clock: wgpu::Buffer,
    clock_stride: u32,
    pipelines: Pipelines,
    /// Where pipelines come from and go to, if they are kept.
    cache: OnceLock<wgpu::PipelineCache>,
    /// Replacements of our shaders.
    shaders: Shaders,
    /// What went wrong on our own device.
    faults: Arc<Faults>,
    /// States of the reports that have been submitted and may not have arrived.
    under_way: Mutex<Vec<Arc<AtomicU8>>>,
    /// Submissions that the device has not finished, as far as it has been asked.
    unfinished: Arc<AtomicU64>,
    pub(crate) tally: Tally,
}

impl Gpu {
    /// Opens a device of our own with all the limits that the adapter has.
    pub(crate) async fn open(adapter: &wgpu::Adapter) -> Result<Gpu, Error> {
        let wished = adapter.features() & (wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::PIPELINE_CACHE);
        let cooperative_subgroup = cooperative::offered(adapter);
        let (matrices, experimental_features) = cooperative::wanted(cooperative_subgroup);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("gradus"),
            required_features: wished | matrices,
            experimental_features,
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let name = adapter.get_info().name;
        let requested = adapter.request_device(&descriptor).await;
        let (device, queue) =
            requested.map_err(|error| Error::NoDevice { adapter: name, reason: error.to_string() })?;

        let faults = Faults::of(&device);
        Ok(Gpu { cooperative_subgroup, ..Gpu::on(device, queue, true, faults)? })
    }

    /// Uses the caller's device, and leaves its handlers alone.
    pub(crate) fn borrow(device: wgpu::Device, queue: wgpu::Queue) -> Result<Gpu, Error> {
        Gpu::on(device, queue, false, Arc::default())
    }

    /// The same with other texts instead of some shaders.
    pub(crate) fn with_shaders(self, shaders: Shaders) -> Gpu {
        Gpu { shaders, ..self }
    }

    fn on(device: wgpu::Device, queue: wgpu::Queue, own: bool, faults: Arc<Faults>) -> Result<Gpu, Error> {
        let limits = device.limits();
        let report = AdapterReport::of(&device.adapter_info(), device.features(), &limits);
        let clock_stride = CLOCK_BYTES.max(limits.min_uniform_buffer_offset_alignment);
        let mut ticks = vec![0u8; (clock_stride * CLOCK_SLOTS) as usize];
        for slot in 0..CLOCK_SLOTS {
            let at = (clock_stride * slot) as usize;
            ticks[at..at + 4].copy_from_slice(&slot.to_le_bytes());
        }
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let scopes = Scopes::open(&device);
        let clock = device.create_buffer(&buffer_descriptor("clock", ticks.len() as u64, usage));
        queue.write_buffer(&clock, 0, &ticks);
        scopes.close("making the clock", &report.name)?;
        let timestamps = device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let pipelines = Pipelines::default();
        let tally = Tally::default();
        Ok(Gpu {
            number: ENGINES.fetch_add(1, Ordering::Relaxed),
            device,
            queue,
            limits,
            report,
            // Whether a borrowed device has matrices of our size cannot be asked.
            cooperative_subgroup: None,
            own,
            timestamps,
            clock,
            clock_stride,
            pipelines,
            cache: OnceLock::new(),
            shaders: Shaders::default(),
            faults,
            under_way: Mutex::default(),
            unfinished: Arc::default(),
            tally,
        })
    }

    /// Bytes that one binding, and so one page, may have.
    pub(crate) fn page_bytes(&self) -> u64 {
        binding_bytes(&self.limits) & !255
    }

    pub(crate) fn buffer(&self, label: &str, bytes: u64) -> Result<Buffer, Error> {
        if bytes > self.limits.max_buffer_size {
            return Err(Error::TooLarge { label: label.to_owned(), bytes, limit: self.limits.max_buffer_size });
        }
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::UNIFORM
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        Ok(Buffer::gpu(label, self.create(&buffer_descriptor(label, bytes, usage))?, self.number))
    }

    /// Makes a buffer; what goes wrong comes back with its name and size.
    fn create(&self, descriptor: &wgpu::BufferDescriptor<'_>) -> Result<wgpu::Buffer, Error> {
        let (label, bytes) = (descriptor.label.unwrap_or_default().to_owned(), descriptor.size);
        let out_of_memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let buffer = self.device.create_buffer(descriptor);
        let refused = pollster::block_on(validation.pop());
        if pollster::block_on(out_of_memory.pop()).is_some() {
            return Err(Error::OutOfMemory { label, bytes });
        }
        if let Some(error) = refused {
            return Err(self.refused(&format!("buffer {label:?} of {bytes} bytes"), error.to_string()));
        }
        self.lost().map_or(Ok(buffer), Err)
    }

    /// Writes into a buffer that nothing refers to yet, ahead of the next submission.
    pub(crate) fn fill(&self, buffer: &Buffer, data: &[u8]) -> Result<(), Error> {
        let scopes = Scopes::open(&self.device);
        self.queue.write_buffer(self.own_buffer(buffer)?, 0, data);
        scopes.close(&format!("filling {buffer:?}"), &self.report.name)?;
        self.lost().map_or(Ok(()), Err)
    }

    fn lost(&self) -> Option<Error> {
        let reason = self.faults.lost()?;
        Some(Error::DeviceLost { adapter: self.report.name.clone(), reason })
    }

    /// What this thread's calls on our own device were refused for since it last asked. A lost device stays lost.
    fn check(&self, what: &str) -> Result<(), Error> {
        if let Some(lost) = self.lost() {
            return Err(lost);
        }
        self.faults.refused_here(|_| true).map_or(Ok(()), |reason| Err(self.refused(what, reason)))
    }

    /// Before something is given to the device: what this thread's own calls of wgpu were refused for is reported now, rather
    /// than as this one's fault.
    fn check_before(&self) -> Result<(), Error> {
        self.check("an earlier call on its device; nothing was submitted")
    }

    fn refused(&self, what: &str, reason: String) -> Error {
        Error::Validation { what: what.to_owned(), reason }
    }

    /// What wgpu calls a buffer of this engine.
    fn own_buffer<'a>(&self, buffer: &'a Buffer) -> Result<&'a wgpu::Buffer, Error> {
        match buffer.memory() {
            Memory::Gpu(inner, number) if *number == self.number => Ok(inner),
            _ => Err(Error::ForeignBuffer { label: buffer.label().to_owned() }),
        }
    }
}

fn buffer_descriptor(label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::BufferDescriptor<'_> {
    wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false }
}

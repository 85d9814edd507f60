//! The engine that runs the shaders, through wgpu.

use super::adapter::AdapterReport;
use super::arena::MOST_PAGE_BYTES;
use super::buffer::{Buffer, Memory, Range};
use super::counters::Tally;
use super::faults::{Faults, Refusal, Scopes};
use super::kernels::{Access, Kernel};
use super::program::{Binding, Dispatch, Program, Submission, Upload};
use super::ring::{
    Delivery, FAILED, FREE, GpuSlot, Pending, RING_SLOTS, Ring, Slots, TIMESTAMP_BYTES, Timer, UNDER_WAY, Unfinished,
    next_in_order,
};
use super::{CLOCK_SLOTS, Error, cooperative};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes of one clock slot that a shader sees.
const CLOCK_BYTES: u32 = 16;

/// Another thread hands a report over at once; no more naps than 5 s.
const HANDING_OVER: Duration = Duration::from_micros(50);
const HANDING_OVER_NAPS: u32 = 100_000;

pub(crate) struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) limits: wgpu::Limits,
    pub(crate) report: AdapterReport,
    /// Invocations of a subgroup, where it multiplies cooperative matrices.
    pub(crate) cooperative_subgroup: Option<u32>,
    /// Whether the device is ours, with our handlers on it.
    own: bool,
    timestamps: bool,
    /// Slot k of the clock holds k: a step tells its kernels where it stands by an offset, without an upload.
    clock: wgpu::Buffer,
    clock_stride: u32,
    pipelines: Mutex<HashMap<PipelineKey, Arc<Pipeline>>>,
    /// What went wrong on our own device.
    faults: Arc<Faults>,
    /// States of the reports that have been submitted and may not have arrived.
    under_way: Mutex<Vec<Arc<AtomicU8>>>,
    /// Submissions that the device has not finished, as far as it has been asked.
    unfinished: Arc<AtomicU64>,
    pub(crate) tally: Tally,
}

type PipelineKey = (&'static str, Vec<(&'static str, u64)>);

struct Pipeline {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

/// One dispatch, ready to be encoded.
pub(crate) struct GpuDispatch {
    pipeline: Arc<Pipeline>,
    bindings: wgpu::BindGroup,
    grid: [u32; 3],
    clocked: bool,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gpu {
    /// Opens a device of our own with all the limits that the adapter has.
    pub(crate) fn open(adapter: &wgpu::Adapter) -> Result<Gpu, Error> {
        let timestamps = adapter.features() & wgpu::Features::TIMESTAMP_QUERY;
        let cooperative_subgroup = cooperative::offered(adapter);
        let (matrices, experimental_features) = cooperative::wanted(cooperative_subgroup);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("gradus"),
            required_features: timestamps | matrices,
            experimental_features,
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let name = adapter.get_info().name;
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|error| Error::NoDevice { adapter: name, reason: error.to_string() })?;

        let faults = Faults::of(&device);
        Ok(Gpu { cooperative_subgroup, ..Gpu::on(device, queue, true, faults)? })
    }

    /// Uses a device that belongs to the caller, and leaves its handlers alone.
    pub(crate) fn borrow(device: wgpu::Device, queue: wgpu::Queue) -> Result<Gpu, Error> {
        Gpu::on(device, queue, false, Arc::default())
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
        let pipelines = Mutex::default();
        let tally = Tally::default();
        Ok(Gpu {
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
        Ok(Buffer::gpu(label, self.create(&buffer_descriptor(label, bytes, usage))?))
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
        self.queue.write_buffer(gpu_buffer(buffer)?, 0, data);
        scopes.close(&format!("filling {buffer:?}"), &self.report.name)?;
        self.lost().map_or(Ok(()), Err)
    }

    pub(crate) fn prepare(&self, program: &Program) -> Result<Vec<GpuDispatch>, Error> {
        program.dispatches.iter().map(|dispatch| self.prepare_dispatch(&program.label, dispatch)).collect()
    }

    fn prepare_dispatch(&self, program: &str, dispatch: &Dispatch) -> Result<GpuDispatch, Error> {
        let pipeline = self.pipeline(dispatch.kernel, &dispatch.constants)?;
        let bad =
            |reason: String| Error::BadProgram { program: program.to_owned(), kernel: dispatch.kernel.name, reason };
        let mut entries = Vec::with_capacity(dispatch.bindings.len());
        for ((place, binding), access) in (0..).zip(&dispatch.bindings).zip(&dispatch.kernel.bindings) {
            let resource = match binding {
                Binding::Clock => wgpu::BufferBinding {
                    buffer: &self.clock,
                    offset: 0,
                    size: wgpu::BufferSize::new(u64::from(CLOCK_BYTES)),
                },
                Binding::Memory(range) => {
                    let Memory::Gpu(buffer) = range.buffer.memory() else {
                        return Err(Error::ForeignBuffer { label: range.buffer.label().to_owned() });
                    };
                    let limit = match access {
                        Access::Uniform | Access::Clock => self.limits.max_uniform_buffer_binding_size,
                        Access::Read | Access::ReadWrite => binding_bytes(&self.limits),
                    };
                    if range.bytes > limit {
                        let label = range.buffer.label().to_owned();
                        return Err(Error::TooLarge { label, bytes: range.bytes, limit });
                    }
                    wgpu::BufferBinding { buffer, offset: range.offset, size: wgpu::BufferSize::new(range.bytes) }
                }
            };
            entries.push(wgpu::BindGroupEntry { binding: place, resource: wgpu::BindingResource::Buffer(resource) });
        }
        let scopes = Scopes::open(&self.device);
        let bindings = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(dispatch.kernel.name),
            layout: &pipeline.layout,
            entries: &entries,
        });
        scopes.close("", &self.report.name).map_err(|error| bad(error.to_string()))?;
        let clocked = dispatch.kernel.bindings.contains(&Access::Clock);
        Ok(GpuDispatch { pipeline, bindings, grid: dispatch.grid, clocked })
    }

    /// The pipeline of a kernel with these constants, built once.
    fn pipeline(&self, kernel: &'static Kernel, constants: &[(&'static str, f64)]) -> Result<Arc<Pipeline>, Error> {
        let key = (kernel.name, constants.iter().map(|(name, value)| (*name, value.to_bits())).collect());
        if let Some(pipeline) = locked(&self.pipelines).get(&key) {
            return Ok(Arc::clone(pipeline));
        }
        let scopes = Scopes::open(&self.device);
        let entries: Vec<wgpu::BindGroupLayoutEntry> =
            (0..).zip(&kernel.bindings).map(|(place, access)| layout_entry(place, *access)).collect();
        let layout = self
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(kernel.name), entries: &entries });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(kernel.name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(kernel.name),
            source: wgpu::ShaderSource::Wgsl(kernel.wgsl().into()),
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(kernel.name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                // Every kernel writes its workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        scopes.close(&format!("kernel {:?}", kernel.name), &self.report.name)?;
        let pipeline = Arc::new(Pipeline { pipeline, layout });
        locked(&self.pipelines).insert(key, Arc::clone(&pipeline));
        Ok(pipeline)
    }

    /// Runs a submission. One call to the queue, nothing waited for. Where it comes back with an error other than a lost
    /// device, the device has not taken it.
    pub(crate) fn submit(&self, submission: &Submission<'_>) -> Result<(), Error> {
        self.check_before()?;
        let scopes = (!self.own).then(|| Scopes::open(&self.device));
        let mut encoder =
            self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("gradus step") });
        let slot = self.encode(&mut encoder, submission, Some(&self.unfinished))?;
        if let Some(slot) = slot {
            let mut under_way = locked(&self.under_way);
            under_way.retain(|state| state.load(Ordering::Acquire) == UNDER_WAY);
            under_way.push(Arc::clone(&slot.state));
        }
        if slot.is_none() {
            let unfinished = Unfinished::new(&self.unfinished);
            encoder.on_submitted_work_done(move || drop(unfinished));
        }
        let commands = encoder.finish();
        match scopes {
            Some(scopes) => scopes.close("a submission", &self.report.name)?,
            None => self.check("a submission")?,
        }
        if let Err(reason) = self.hand_in(commands) {
            slot.into_iter().for_each(|slot| slot.refused.store(true, Ordering::Release));
            return Err(self.refused("a submission", reason));
        }
        self.tally.submission();
        // Finds a lost device, and hands over what is mapped; this never waits.
        self.poll(wgpu::PollType::Poll)
    }

    /// Gives commands to the queue; why it refuses them, if it does. Callbacks of others run inside where it does not: what
    /// they are refused for is no fault of the commands.
    fn hand_in(&self, commands: wgpu::CommandBuffer) -> Result<wgpu::SubmissionIndex, String> {
        let scopes = (!self.own).then(|| Scopes::open(&self.device));
        let index = self.queue.submit([commands]);
        let is_of_submit = |refusal: &Refusal| refusal.is_of_submit;
        let refused = match scopes {
            Some(scopes) => scopes.pop().filter(is_of_submit).map(|refusal| refusal.reason),
            None => self.faults.refused_here(is_of_submit),
        };
        refused.map_or(Ok(index), Err)
    }

    /// Writes a submission into an encoder, which may be the caller's; the slot of its report, which is counted among those
    /// that are unfinished, if they are given.
    fn encode<'a>(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        submission: &Submission<'a>,
        unfinished: Option<&Arc<AtomicU64>>,
    ) -> Result<Option<&'a GpuSlot>, Error> {
        for upload in &submission.uploads {
            self.encode_upload(encoder, upload)?;
        }
        for range in &submission.clears {
            encoder.clear_buffer(gpu_buffer(&range.buffer)?, range.offset, Some(range.bytes));
        }
        for (from, to) in &submission.copies {
            let (from_buffer, to_buffer) = (gpu_buffer(&from.buffer)?, gpu_buffer(&to.buffer)?);
            encoder.copy_buffer_to_buffer(from_buffer, from.offset, to_buffer, to.offset, Some(from.bytes));
        }
        let slot = submission.report.as_ref().and_then(|report| take_free_slot(report.ring, report.tag));
        if submission.programs.is_empty() && slot.is_none() {
            return Ok(None);
        }
        let timer = slot.and_then(|slot| slot.timer.as_ref());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: submission.programs.first().map(|prepared| prepared.program.label.as_str()),
            timestamp_writes: timer.map(|timer| wgpu::ComputePassTimestampWrites {
                query_set: &timer.queries,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: Some(1),
            }),
        });
        for (prepared, slot) in submission.runs() {
            let offset = [self.clock_stride * slot];
            self.tally.program(prepared.program.dispatches.len(), prepared.bytes);
            for dispatch in &prepared.gpu {
                pass.set_pipeline(&dispatch.pipeline.pipeline);
                pass.set_bind_group(0, &dispatch.bindings, if dispatch.clocked { &offset } else { &[] });
                let [x, y, z] = dispatch.grid;
                pass.dispatch_workgroups(x, y, z);
            }
        }
        drop(pass);
        if let (Some(slot), Some(report)) = (slot, &submission.report) {
            encode_report(encoder, report.ring, slot, unfinished.map(Unfinished::new))?;
        }
        Ok(slot)
    }

    /// Writes a submission into an encoder of the caller's, and learns what becomes of it.
    pub(crate) fn encode_for_caller(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        submission: &Submission<'_>,
    ) -> Result<(), Error> {
        self.check_before()?;
        let scopes = (!self.own).then(|| Scopes::open(&self.device));
        self.encode(encoder, submission, None)?;
        if let (Some(lost), false) = (&submission.lost, submission.uploads.is_empty()) {
            let carried = Carried { lost: Arc::clone(lost), submitted: false };
            encoder.on_submitted_work_done(move || carried.submitted());
        }
        if let Some(scopes) = scopes {
            scopes.close("a step in the caller's encoder", &self.report.name)?;
        }
        self.check("a step in the caller's encoder")
    }

    /// The bytes travel inside the command buffer, so that they arrive in order even when a caller submits late.
    fn encode_upload(&self, encoder: &mut wgpu::CommandEncoder, upload: &Upload) -> Result<(), Error> {
        let target = gpu_buffer(&upload.buffer)?;
        let bytes = upload.data.len() as u64;
        let label = format!("upload to {}", upload.buffer.label());
        let mut descriptor = buffer_descriptor(&label, bytes, wgpu::BufferUsages::COPY_SRC);
        descriptor.mapped_at_creation = true;
        let staging = self.create(&descriptor)?;
        {
            let what = || format!("an upload of {bytes} bytes to buffer {:?}", upload.buffer.label());
            let mut mapped =
                staging.get_mapped_range_mut(..).map_err(|error| self.refused(&what(), error.to_string()))?;
            mapped.copy_from_slice(&upload.data);
        }
        staging.unmap();
        encoder.copy_buffer_to_buffer(&staging, 0, target, upload.offset, Some(bytes));
        self.tally.upload(bytes);
        Ok(())
    }

    /// Brings bytes back and waits for them: for checkpoints and tests, not for steps.
    pub(crate) fn read(&self, ranges: &[Range]) -> Result<Vec<Vec<u8>>, Error> {
        let mut stagings = Vec::with_capacity(ranges.len());
        let scopes = Scopes::open(&self.device);
        let mut encoder =
            self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("gradus read") });
        for range in ranges {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            let label = format!("read of {}", range.buffer.label());
            let staging = self.create(&buffer_descriptor(&label, range.bytes, usage))?;
            encoder.copy_buffer_to_buffer(gpu_buffer(&range.buffer)?, range.offset, &staging, 0, Some(range.bytes));
            encoder.map_buffer_on_submit(&staging, wgpu::MapMode::Read, .., |_| ());
            stagings.push(staging);
        }
        let commands = encoder.finish();
        scopes.close("a read", &self.report.name)?;
        let index = self.hand_in(commands).map_err(|reason| self.refused("a read", reason))?;
        self.tally.submission();
        self.wait_for(index)?;
        let mut read = Vec::with_capacity(ranges.len());
        for (staging, range) in stagings.iter().zip(ranges) {
            let what = || format!("a read of {range:?}");
            let mapped = staging.get_mapped_range(..).map_err(|error| self.refused(&what(), error.to_string()))?;
            read.push(mapped.to_vec());
            self.tally.download(range.bytes);
        }
        Ok(read)
    }

    /// Stands still until the device has finished a submission.
    fn wait_for(&self, submission_index: impl Into<Option<wgpu::SubmissionIndex>>) -> Result<(), Error> {
        self.tally.blocking_wait();
        self.poll(wgpu::PollType::Wait { submission_index: submission_index.into(), timeout: None })
    }

    /// Stands still until the device has finished everything, and what was to be reported has arrived: where several
    /// threads share a device, one of them may be handing over what another waits for.
    pub(crate) fn wait(&self) -> Result<(), Error> {
        let under_way = locked(&self.under_way).clone();
        self.wait_for(None)?;
        for state in under_way {
            for _ in 0..HANDING_OVER_NAPS {
                if state.load(Ordering::Acquire) != UNDER_WAY {
                    break;
                }
                std::thread::sleep(HANDING_OVER);
            }
        }
        Ok(())
    }

    /// As if the device had so many more to finish.
    #[cfg(test)]
    pub(crate) fn pretend_unfinished(&self, submissions: u64) -> Vec<Unfinished> {
        (0..submissions).map(|_| Unfinished::new(&self.unfinished)).collect()
    }

    /// Whether the device has more than so many submissions of ours to finish.
    pub(crate) fn is_behind(&self, most: u64) -> Result<bool, Error> {
        let is_more = || self.unfinished.load(Ordering::Acquire) > most;
        if is_more() {
            self.poll(wgpu::PollType::Poll)?;
        }
        Ok(is_more())
    }

    /// Polls, and tells of a device that is lost. The callbacks of others run inside; their panics go on to their owners. wgpu
    /// 30 panics where it finds the device lost; on a device of ours that panic ends here.
    fn poll(&self, poll: wgpu::PollType) -> Result<(), Error> {
        let polled = if self.own { self.poll_own(poll)? } else { self.device.poll(poll) };
        if let Some(lost) = self.lost() {
            return Err(lost);
        }
        polled.map(|_| ()).map_err(|error| self.refused("a poll", error.to_string()))
    }

    fn poll_own(&self, poll: wgpu::PollType) -> Result<Result<wgpu::PollStatus, wgpu::PollError>, Error> {
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.device.poll(poll)));
        polled.or_else(|panic| {
            let by_wgpu = panic.downcast_ref::<String>().is_some_and(|text| text.starts_with("Error in Device::poll"));
            match self.lost() {
                Some(lost) if by_wgpu => Err(lost),
                _ => std::panic::resume_unwind(panic),
            }
        })
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

    /// Before something is given to the device: what this thread's own calls of wgpu were refused for is told now, rather
    /// than as this one's fault.
    fn check_before(&self) -> Result<(), Error> {
        self.check("an earlier call on its device; nothing was submitted")
    }

    fn refused(&self, what: &str, reason: String) -> Error {
        Error::Validation { what: what.to_owned(), reason }
    }

    pub(crate) fn ring(&self, regions: &[Range]) -> Result<Slots, Error> {
        let bytes: u64 = regions.iter().map(|range| range.bytes).sum::<u64>() + TIMESTAMP_BYTES;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let mut slots = Vec::with_capacity(RING_SLOTS);
        for _ in 0..RING_SLOTS {
            let staging = self.create(&buffer_descriptor("report", bytes, usage))?;
            let timer = if self.timestamps { Some(self.timer()?) } else { None };
            slots.push(GpuSlot {
                staging,
                tag: Mutex::new(0),
                state: Arc::new(AtomicU8::new(FREE)),
                refused: AtomicBool::new(false),
                timer,
            });
        }
        Ok(Slots::Gpu(slots))
    }

    fn timer(&self) -> Result<Timer, Error> {
        let scopes = Scopes::open(&self.device);
        let queries = self.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("step time"),
            ty: wgpu::QueryType::Timestamp,
            count: 2,
        });
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = self.device.create_buffer(&buffer_descriptor("step time", TIMESTAMP_BYTES, usage));
        scopes.close("a timer", &self.report.name)?;
        Ok(Timer { queries, resolved })
    }

    /// Hands over what has arrived, oldest first, without waiting.
    pub(crate) fn collect<E: From<Error>>(
        &self,
        slots: &[GpuSlot],
        mut take: impl FnMut(Delivery<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.poll(wgpu::PollType::Poll)?;
        if slots
            .iter()
            .any(|slot| slot.state.compare_exchange(FAILED, FREE, Ordering::AcqRel, Ordering::Relaxed).is_ok())
        {
            // On a borrowed device this is the only sign of its loss.
            let reason = "a report could not be mapped".to_owned();
            return Err(Error::DeviceLost { adapter: self.report.name.clone(), reason }.into());
        }
        while let Some(slot) = oldest_arrived(slots) {
            let is_refused = slot.refused.load(Ordering::Acquire);
            let taken = if is_refused { Ok(()) } else { self.hand_over(slot, &mut take) };
            slot.staging.unmap();
            slot.state.store(FREE, Ordering::Release);
            taken?;
        }
        Ok(())
    }

    /// Gives the caller a mapped report.
    fn hand_over<E: From<Error>>(
        &self,
        slot: &GpuSlot,
        take: &mut impl FnMut(Delivery<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mapped = slot.staging.get_mapped_range(..).map_err(|error| self.refused("a report", error.to_string()))?;
        let (bytes, stamps) = mapped.split_at(mapped.len() - TIMESTAMP_BYTES as usize);
        let device_seconds = slot.timer.as_ref().and_then(|_| self.seconds(stamps));
        self.tally.download(bytes.len() as u64);
        take(Delivery { tag: *locked(&slot.tag), bytes, device_seconds })
    }

    fn seconds(&self, stamps: &[u8]) -> Option<f64> {
        let stamps: &[[u8; 8]] = stamps.as_chunks().0;
        let ticks = u64::from_le_bytes(*stamps.get(1)?).checked_sub(u64::from_le_bytes(*stamps.first()?))?;
        Some(ticks as f64 * f64::from(self.queue.get_timestamp_period()) * 1e-9)
    }
}

/// Uploads on their way in a caller's encoder.
struct Carried {
    lost: Arc<AtomicBool>,
    submitted: bool,
}

impl Carried {
    fn submitted(mut self) {
        self.submitted = true;
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        if !self.submitted {
            self.lost.store(true, Ordering::Release);
        }
    }
}

/// The oldest report, if it has arrived.
fn oldest_arrived(slots: &[GpuSlot]) -> Option<&GpuSlot> {
    let states = slots.iter().map(|slot| (slot.state.load(Ordering::Acquire), *locked(&slot.tag)));
    next_in_order(states).and_then(|place| slots.get(place))
}

fn take_free_slot(ring: &Ring, tag: u64) -> Option<&GpuSlot> {
    let Slots::Gpu(slots) = &ring.slots else { return None };
    let slot = slots
        .iter()
        .find(|slot| slot.state.compare_exchange(FREE, UNDER_WAY, Ordering::AcqRel, Ordering::Relaxed).is_ok())?;
    *locked(&slot.tag) = tag;
    slot.refused.store(false, Ordering::Release);
    Some(slot)
}

fn encode_report(
    encoder: &mut wgpu::CommandEncoder,
    ring: &Ring,
    slot: &GpuSlot,
    unfinished: Option<Unfinished>,
) -> Result<(), Error> {
    let pending = Pending::new(slot, unfinished);
    let mut at = 0;
    for region in &ring.regions {
        let from = gpu_buffer(&region.buffer)?;
        encoder.copy_buffer_to_buffer(from, region.offset, &slot.staging, at, Some(region.bytes));
        at += region.bytes;
    }
    if let Some(timer) = &slot.timer {
        encoder.resolve_query_set(&timer.queries, 0..2, &timer.resolved, 0);
        encoder.copy_buffer_to_buffer(&timer.resolved, 0, &slot.staging, at, Some(TIMESTAMP_BYTES));
    }
    encoder.map_buffer_on_submit(&slot.staging, wgpu::MapMode::Read, .., move |result| pending.mapped(result));
    Ok(())
}

/// Bytes that one binding may have, as far as our kernels can address it.
pub(crate) fn binding_bytes(limits: &wgpu::Limits) -> u64 {
    limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(MOST_PAGE_BYTES)
}

fn gpu_buffer(buffer: &Buffer) -> Result<&wgpu::Buffer, Error> {
    buffer.wgpu().ok_or_else(|| Error::ForeignBuffer { label: buffer.label().to_owned() })
}

fn buffer_descriptor(label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::BufferDescriptor<'_> {
    wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false }
}

fn layout_entry(binding: u32, access: Access) -> wgpu::BindGroupLayoutEntry {
    let ty = match access {
        Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
        Access::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
        Access::Uniform | Access::Clock => wgpu::BufferBindingType::Uniform,
    };
    let has_dynamic_offset = access == Access::Clock;
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
        count: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_2_gib_at_most_whatever_a_device_reports() {
        let limits = |binding, buffer| wgpu::Limits {
            max_storage_buffer_binding_size: binding,
            max_buffer_size: buffer,
            ..wgpu::Limits::default()
        };
        assert_eq!(binding_bytes(&limits(64 << 30, 64 << 30)), 2 << 30);
        assert_eq!(binding_bytes(&limits((2 << 30) - 4, 64 << 30)), (2 << 30) - 4);
        assert_eq!(binding_bytes(&limits(64 << 30, 256 << 20)), 256 << 20);
    }
}

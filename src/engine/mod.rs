//! Programs as data, and the two engines that run them.
//!
//! A [`Program`] is a list of dispatches. An [`Engine`] prepares it once (pipelines, bind groups) and replays it: every
//! step is one submission. The wgpu engine runs the shaders; the CPU engine runs a Rust twin of each, or its fast form, and
//! is the engine of last resort on a machine without an adapter. With the twins alone it is the oracle of the tests.
//!
//! Invariant: this room knows buffers, not parameters; it never uses `params`, `schedule`, `optim` or `nn`.

mod adapter;
mod arena;
mod buffer;
mod choices;
mod cooperative;
mod count;
mod counters;
mod cpu;
mod error;
mod faults;
mod forms;
mod gpu;
pub mod kernels;
mod program;
mod ring;
mod sizes;

pub use adapter::{AdapterChoice, AdapterReport, list_adapters};
pub(crate) use arena::{ALIGNMENT_ELEMENTS, place_at};
pub use arena::{Piece, Placement, place};
pub use buffer::{Buffer, Range};
pub use choices::{Choices, Tile, Tiling};
pub(crate) use count::{count, counted};
pub use counters::Counters;
pub use error::Error;
pub use kernels::{Access, Kernel};
pub use program::{Binding, Dispatch, Program, Report, Submission, Upload, row_of};
pub use ring::{Delivery, RING_SLOTS, Ring};
pub use sizes::Sizes;

pub use crate::twin::shared as layout;
use counters::Tally;
use forms::Forms;
use gpu::{Gpu, GpuDispatch};
use ring::Slots;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Slots of the clock: the most steps that one table may cover.
pub const CLOCK_SLOTS: u32 = 1024;

/// Most bytes of a page of the CPU engine, which has no limit of its own: its kernels count elements in 32 bits.
const CPU_PAGE_BYTES: u64 = 8 << 30;

/// How long the host sleeps when it is far ahead of the device.
const THROTTLE: Duration = Duration::from_micros(200);

/// A device and what runs programs on it. Cloning gives another handle to the same engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
    choices: Arc<Choices>,
    sizes: Sizes,
}

enum Inner {
    Gpu(Box<Gpu>),
    Cpu(Cpu),
}

/// The CPU engine's own state.
struct Cpu {
    forms: &'static Forms,
    tally: Tally,
    /// Held over a whole submission or read: one after the other, as on a queue.
    turn: Mutex<()>,
}

/// A program made ready for one engine.
pub struct Prepared {
    program: Program,
    bytes: u64,
    gpu: Vec<GpuDispatch>,
}

impl Prepared {
    /// The program that was prepared.
    pub fn program(&self) -> &Program {
        &self.program
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.program)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.name())
    }
}

impl Engine {
    /// Opens the adapter chosen, with all the limits that it has. [`AdapterChoice::Best`] goes on to the next adapter where
    /// a driver refuses, and ends with the CPU engine.
    ///
    /// # Errors
    /// [`Error::NoSuchAdapter`] if no name matches, [`Error::NoDevice`] if the driver of the one named refuses.
    pub fn new(choice: &AdapterChoice) -> Result<Engine, Error> {
        let adapters = adapter::pick(choice)?;
        let last_resort = *choice != AdapterChoice::Best;
        for (place, adapter) in adapters.iter().enumerate() {
            match Gpu::open(adapter) {
                Ok(gpu) => return Ok(Engine::from_gpu(gpu)),
                Err(error) if last_resort && place + 1 == adapters.len() => return Err(error),
                Err(_) => {}
            }
        }
        Ok(Engine::cpu())
    }

    /// The engine that runs on the host: fast forms on the threads of rayon's pool where there are any, else the twins.
    /// Tasks of a rayon pool should not share one: while one waits for its rows, its thread may take up another.
    pub fn cpu() -> Engine {
        Engine::on_host(&forms::FAST)
    }

    /// The engine that runs the twins alone: slow, with its sums in f64, to compare with.
    pub fn twins() -> Engine {
        Engine::on_host(&forms::TWINS)
    }

    fn on_host(forms: &'static Forms) -> Engine {
        let cpu = Cpu { forms, tally: Tally::default(), turn: Mutex::default() };
        Engine::with(Inner::Cpu(cpu), Sizes::PROCESSOR)
    }

    /// Runs on a device that the caller already has. Its error handlers stay the caller's; ours is inside scopes.
    ///
    /// # Errors
    /// [`Error::Validation`] if the device refuses a small buffer.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Result<Engine, Error> {
        Ok(Engine::from_gpu(Gpu::borrow(device, queue)?))
    }

    fn from_gpu(gpu: Gpu) -> Engine {
        let sizes = Sizes::likely(gpu.report.kind == "software");
        Engine::with(Inner::Gpu(Box::new(gpu)), sizes)
    }

    fn with(inner: Inner, sizes: Sizes) -> Engine {
        Engine { inner: Arc::new(inner), choices: Arc::new(Choices::all(sizes.tiling)), sizes }
    }

    /// Another handle to the same engine, whose dispatches are made by these choices.
    #[must_use]
    pub fn choosing(&self, choices: Choices) -> Engine {
        Engine { inner: Arc::clone(&self.inner), choices: Arc::new(choices), sizes: self.sizes }
    }

    /// Another handle to the same engine, whose dispatches have these sizes, and their tiling.
    #[must_use]
    pub fn sized(&self, sizes: Sizes) -> Engine {
        Engine { inner: Arc::clone(&self.inner), choices: Arc::new(Choices::all(sizes.tiling)), sizes }
    }

    /// The sizes that dispatches are made with.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// How kernels share out their work.
    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// What is chosen for a kernel's layer, where the device has workgroups that large; else registers. Cooperative matrices
    /// where they are chosen, the device has them and the kernel is `linear`; else what is likely best.
    pub fn tiling(&self, kernel: &str, inputs: u32, outputs: u32) -> Tiling {
        let chosen = match self.choices.tiling(kernel, inputs, outputs) {
            Tiling::Cooperative if kernel == "linear" && Tiling::Cooperative.fits(self) => Tiling::Cooperative,
            Tiling::Cooperative => self.sizes.tiling,
            chosen => chosen,
        };
        if chosen.fits(self) { chosen } else { Tiling::Registers }
    }

    /// Invocations of a subgroup that multiplies cooperative matrices; `None` where the device has none for us.
    pub(crate) fn cooperative_subgroup(&self) -> Option<u32> {
        match &*self.inner {
            Inner::Gpu(gpu) => gpu.cooperative_subgroup,
            Inner::Cpu(_) => None,
        }
    }

    /// The adapter's name, `cpu`, or `twins`.
    pub fn name(&self) -> &str {
        match &*self.inner {
            Inner::Gpu(gpu) => &gpu.report.name,
            Inner::Cpu(cpu) => cpu.forms.engine,
        }
    }

    /// What the adapter in use offers; `None` on the CPU engine.
    pub fn adapter(&self) -> Option<&AdapterReport> {
        match &*self.inner {
            Inner::Gpu(gpu) => Some(&gpu.report),
            Inner::Cpu(_) => None,
        }
    }

    /// The device underneath; `None` on the CPU engine.
    pub fn device(&self) -> Option<&wgpu::Device> {
        match &*self.inner {
            Inner::Gpu(gpu) => Some(&gpu.device),
            Inner::Cpu(_) => None,
        }
    }

    /// The queue underneath; `None` on the CPU engine.
    pub fn queue(&self) -> Option<&wgpu::Queue> {
        match &*self.inner {
            Inner::Gpu(gpu) => Some(&gpu.queue),
            Inner::Cpu(_) => None,
        }
    }

    /// Whether the shaders run on a processor's cores, where small workgroups do better.
    pub fn is_software(&self) -> bool {
        self.adapter().is_none_or(|adapter| adapter.kind == "software")
    }

    /// Most bytes that one binding, and so one page of an arena, may have.
    pub fn page_bytes(&self) -> u64 {
        match &*self.inner {
            Inner::Gpu(gpu) => gpu.page_bytes(),
            Inner::Cpu(_) => CPU_PAGE_BYTES,
        }
    }

    /// Most bytes that a kernel may bind at once; the CPU engine binds whatever there is.
    pub fn binding_bytes(&self) -> u64 {
        match &*self.inner {
            Inner::Gpu(gpu) => gpu.page_bytes(),
            Inner::Cpu(_) => u64::MAX,
        }
    }

    /// Alignment in bytes that the offset of a bound range must have.
    pub fn offset_alignment_bytes(&self) -> u64 {
        match &*self.inner {
            Inner::Gpu(gpu) => u64::from(gpu.limits.min_storage_buffer_offset_alignment),
            Inner::Cpu(_) => 4,
        }
    }

    /// Whether two handles are of one engine.
    pub fn same(&self, other: &Engine) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// What this engine has done so far.
    pub fn counters(&self) -> Counters {
        self.tally().read()
    }

    fn tally(&self) -> &Tally {
        match &*self.inner {
            Inner::Gpu(gpu) => &gpu.tally,
            Inner::Cpu(cpu) => &cpu.tally,
        }
    }

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
        if matches!(&*self.inner, Inner::Cpu(_)) {
            return Err(Error::ForeignBuffer { label: label.to_owned() });
        }
        if !buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
            let (label, bytes) = (label.to_owned(), buffer.size());
            return Err(Error::MissingUsage { label, bytes, needed: "STORAGE" });
        }
        Ok(Buffer::gpu(label, buffer.clone()))
    }

    /// Copies `data` into a buffer, in a submission of its own.
    ///
    /// # Errors
    /// [`Error::BadRange`] if it does not fit.
    pub fn write<T: bytemuck::NoUninit>(&self, buffer: &Buffer, offset: u64, data: &[T]) -> Result<(), Error> {
        let upload = Upload { buffer: buffer.clone(), offset, data: bytemuck::cast_slice(data).to_vec() };
        self.submit(&Submission { uploads: vec![upload], ..Submission::default() })
    }

    /// Makes a program ready to run: checks it against its kernels, builds pipelines and bind groups.
    ///
    /// # Errors
    /// [`Error::BadProgram`] if bindings and kernel disagree, [`Error::Validation`] if the driver refuses a shader.
    pub fn prepare(&self, program: Program) -> Result<Prepared, Error> {
        for dispatch in &program.dispatches {
            check_dispatch(&program.label, dispatch)?;
        }
        let gpu = match &*self.inner {
            Inner::Gpu(gpu) => gpu.prepare(&program)?,
            Inner::Cpu(_) => Vec::new(),
        };
        let bytes = program.bytes();
        Ok(Prepared { program, bytes, gpu })
    }

    /// Runs a submission: one call to the queue, and nothing waited for.
    ///
    /// # Errors
    /// [`Error::BadRange`] for an upload that does not fit, [`Error::DeviceLost`], [`Error::Validation`].
    pub fn submit(&self, submission: &Submission<'_>) -> Result<(), Error> {
        let submitted = check_submission(submission).and_then(|()| match &*self.inner {
            Inner::Gpu(gpu) => gpu.submit(submission),
            Inner::Cpu(cpu) => {
                let _turn = cpu.turn.lock();
                count_on_cpu(&cpu.tally, submission);
                cpu::submit(cpu.forms, submission)
            }
        });
        submitted.inspect_err(|_| submission.raise_lost())
    }

    /// Writes a submission into the caller's encoder instead of running it; uploads travel inside it too.
    ///
    /// # Errors
    /// As [`Engine::submit`]; [`Error::NoEncoder`] on the CPU engine.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder, submission: &Submission<'_>) -> Result<(), Error> {
        let encoded = check_submission(submission).and_then(|()| match &*self.inner {
            Inner::Gpu(gpu) => gpu.encode_for_caller(encoder, submission),
            Inner::Cpu(_) => Err(Error::NoEncoder),
        });
        encoded.inspect_err(|_| submission.raise_lost())
    }

    /// Brings bytes back and waits for them. For results, checkpoints and tests; a step uses a [`Ring`].
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

    /// Stands still until the device has done everything it was given, and the reports of what was submitted here have
    /// arrived, whichever thread they came through.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Validation`].
    pub fn wait(&self) -> Result<(), Error> {
        match &*self.inner {
            Inner::Gpu(gpu) => gpu.wait(),
            Inner::Cpu(_) => Ok(()),
        }
    }

    /// A readback ring for these regions, copied one after the other.
    ///
    /// # Errors
    /// [`Error::Validation`] or [`Error::OutOfMemory`] from the driver.
    pub fn ring(&self, regions: Vec<Range>) -> Result<Ring, Error> {
        regions.iter().try_for_each(Range::check)?;
        let slots = match &*self.inner {
            Inner::Gpu(gpu) => gpu.ring(&regions)?,
            Inner::Cpu(_) => Slots::Cpu(Mutex::default()),
        };
        Ok(Ring { regions, slots })
    }

    /// Gives `take` the reports that have arrived, oldest first; one that is under way holds back those with higher tags.
    /// Never waits. Where `take` fails, the reports behind that
    /// one are there the next time.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Validation`]; what `take` says.
    pub fn collect<E: From<Error>>(
        &self,
        ring: &Ring,
        take: impl FnMut(Delivery<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match (&*self.inner, &ring.slots) {
            (Inner::Gpu(gpu), Slots::Gpu(slots)) => gpu.collect(slots, take),
            (_, Slots::Cpu(reports)) => cpu::collect(reports, take),
            (Inner::Cpu(_), Slots::Gpu(_)) => Err(Error::ForeignBuffer { label: "report".to_owned() }.into()),
        }
    }

    /// Sleeps while the device has more than so many of this engine's submissions to finish; those in a caller's encoder are
    /// not among them. The CPU engine has none.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub fn keep_pace(&self, most_unfinished: u64) -> Result<(), Error> {
        if let Inner::Gpu(gpu) = &*self.inner {
            while gpu.is_behind(most_unfinished)? {
                self.throttle();
            }
        }
        Ok(())
    }

    /// As if the device had so many more submissions to finish, until what comes back is dropped.
    #[cfg(test)]
    pub(crate) fn pretend_unfinished(&self, submissions: u64) -> impl Send + use<> {
        match &*self.inner {
            Inner::Gpu(gpu) => gpu.pretend_unfinished(submissions),
            Inner::Cpu(_) => Vec::new(),
        }
    }

    /// Sleeps a moment because the host is far ahead; the device has work meanwhile. Counted.
    pub fn throttle(&self) {
        self.tally().throttle();
        std::thread::sleep(THROTTLE);
    }
}

fn count_on_cpu(tally: &Tally, submission: &Submission<'_>) {
    tally.submission();
    for upload in &submission.uploads {
        tally.upload(upload.data.len() as u64);
    }
    for prepared in submission.programs {
        tally.program(prepared.program.dispatches.len(), prepared.bytes);
    }
    if let Some(report) = &submission.report {
        tally.download(report.ring.report_bytes());
    }
}

fn check_submission(submission: &Submission<'_>) -> Result<(), Error> {
    let slots = submission.slots.iter().chain([&submission.slot]);
    if let Some(slot) = slots.copied().find(|slot| *slot >= CLOCK_SLOTS) {
        return Err(Error::NoSuchSlot { slot });
    }
    let (slots, programs) = (submission.slots.len(), submission.programs.len());
    if slots != 0 && slots != programs {
        return Err(Error::SlotsDiffer { slots, programs });
    }
    for upload in &submission.uploads {
        upload.buffer.range(upload.offset, upload.data.len() as u64)?;
    }
    let copied = submission.copies.iter().flat_map(|(from, to)| [from, to]);
    submission.clears.iter().chain(copied).try_for_each(Range::check)
}

/// Whether a dispatch gives its kernel what the kernel declares.
fn check_dispatch(program: &str, dispatch: &Dispatch) -> Result<(), Error> {
    let bad =
        |reason: String| Err(Error::BadProgram { program: program.to_owned(), kernel: dispatch.kernel.name, reason });
    let (given, declared) = (&dispatch.bindings, &dispatch.kernel.bindings);
    if given.len() != declared.len() {
        return bad(format!("{} bindings given, {} declared", given.len(), declared.len()));
    }
    for (place, (binding, access)) in given.iter().zip(declared).enumerate() {
        if matches!(binding, Binding::Clock) != (*access == Access::Clock) {
            return bad(format!("binding {place} is declared {access:?}"));
        }
        if let Binding::Memory(range) = binding {
            range.check()?;
        }
    }
    Ok(())
}

//! Programs as data, and the two engines that run them.
//!
//! A [`Program`] is a list of dispatches. An [`Engine`] prepares it once (pipelines, bind groups) and replays it: every
//! step is one submission. The wgpu engine runs the shaders; the CPU engine runs a Rust twin of each, or its fast form,
//! and is used on a machine without an adapter. With only the twins it is the oracle of the tests.
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
mod memory;
mod prepared;
mod program;
mod queue;
mod ring;
mod sizes;
mod submission;

pub use adapter::{AdapterChoice, AdapterReport, list_adapters, request_adapters};
pub(crate) use arena::{ALIGNMENT_ELEMENTS, place_at};
pub use arena::{Piece, Placement, place};
pub use buffer::{Buffer, Range};
pub use choices::{Choices, Tile, Tiling};
pub(crate) use count::{count, counted};
pub use counters::Counters;
pub use error::Error;
pub use kernels::{Access, Kernel, Shaders};
pub use prepared::Prepared;
pub use program::{Binding, Dispatch, Program, row_of};
pub use ring::{Delivery, RING_SLOTS, Ring};
#[doc(hidden)]
pub use sizes::Sizes;
pub use submission::{Report, Submission, Upload};

pub use crate::twin::shared as layout;
use counters::Tally;
use forms::Forms;
use gpu::Gpu;
use std::sync::{Arc, Mutex};

/// Slots of the clock: the most steps that one table may cover.
pub const CLOCK_SLOTS: u32 = 1024;

/// Most bytes of a page of the CPU engine: its kernels count elements in 32 bits.
const CPU_PAGE_BYTES: u64 = 8 << 30;

/// A device and what runs programs on it. Cloning gives another handle to the same engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
    choices: Arc<Choices>,
    sizes: Sizes,
    /// Whether reports carry the device's timestamps, if it has them.
    timed: bool,
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

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.name())
    }
}

impl Engine {
    /// Opens the chosen adapter, with all its limits. [`AdapterChoice::Best`] tries the next adapter if a driver
    /// refuses, and finally the CPU engine. Blocks until the driver has answered; [`Engine::request`] does not.
    ///
    /// # Errors
    /// [`Error::NoSuchAdapter`] if no name matches, [`Error::NoDevice`] if the driver of the named adapter refuses.
    pub fn new(choice: &AdapterChoice) -> Result<Engine, Error> {
        pollster::block_on(Engine::request(choice))
    }

    /// The same without blocking: nothing runs until it is awaited.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub async fn request(choice: &AdapterChoice) -> Result<Engine, Error> {
        let adapters = adapter::pick(choice).await?;
        let last_resort = *choice != AdapterChoice::Best;
        for (place, adapter) in adapters.iter().enumerate() {
            match Gpu::open(adapter).await {
                Ok(gpu) => return Ok(Engine::from_gpu(gpu)),
                Err(error) if last_resort && place + 1 == adapters.len() => return Err(error),
                Err(_) => {}
            }
        }
        Ok(Engine::cpu())
    }

    /// The engine that runs on the host: fast forms on the threads of rayon's pool if there are any, else the twins.
    /// Tasks of a rayon pool should not share one: while one waits for its rows, its thread may take up another. Without the
    /// feature `cpu` it runs the twins under this name: right, but slow.
    pub fn cpu() -> Engine {
        Engine::on_host(&forms::FAST)
    }

    /// The engine that runs only the twins: slow, with sums in f64, to compare with.
    pub fn twins() -> Engine {
        Engine::on_host(&forms::TWINS)
    }

    /// Opens the adapter chosen with other texts instead of some shaders.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn with_shaders(choice: &AdapterChoice, shaders: Shaders) -> Result<Engine, Error> {
        let adapters = pollster::block_on(adapter::pick(choice))?;
        let adapter = adapters.first().ok_or_else(|| Error::NoDevice {
            adapter: "any".to_owned(),
            reason: "there is no adapter to run shaders".to_owned(),
        })?;
        Ok(Engine::from_gpu(pollster::block_on(Gpu::open(adapter))?.with_shaders(shaders)))
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
        Engine { inner: Arc::new(inner), choices: Arc::new(Choices::all(sizes.tiling)), sizes, timed: true }
    }

    /// Another handle to the same engine, whose dispatches are made by these choices.
    #[must_use]
    pub fn choosing(&self, choices: Choices) -> Engine {
        Engine { choices: Arc::new(choices), ..self.clone() }
    }

    /// Another handle to the same engine, whose dispatches have these sizes, and their tiling.
    #[doc(hidden)]
    #[must_use]
    pub fn sized(&self, sizes: Sizes) -> Engine {
        Engine { choices: Arc::new(Choices::all(sizes.tiling)), sizes, ..self.clone() }
    }

    /// Another handle to the same engine, whose rings carry no timestamps: for a driver whose timestamps are wrong.
    #[must_use]
    pub fn untimed(&self) -> Engine {
        Engine { timed: false, ..self.clone() }
    }

    /// Whether reports come with the seconds of the device.
    pub fn has_timestamps(&self) -> bool {
        match &*self.inner {
            Inner::Gpu(gpu) => self.timed && gpu.timestamps,
            Inner::Cpu(_) => false,
        }
    }

    /// The sizes that dispatches are made with.
    #[doc(hidden)]
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// How kernels share out their work.
    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// The choice for a kernel's layer, if the device has workgroups that large; else registers. Cooperative matrices
    /// if they are chosen, the device has them and the kernel is `linear`; else the likely best.
    pub fn tiling(&self, kernel: &str, inputs: u32, outputs: u32) -> Tiling {
        let chosen = match self.choices.tiling(kernel, inputs, outputs) {
            Tiling::Cooperative if kernel == "linear" && Tiling::Cooperative.fits(self) => Tiling::Cooperative,
            Tiling::Cooperative => self.sizes.tiling,
            chosen => chosen,
        };
        if chosen.fits(self) { chosen } else { Tiling::Registers }
    }

    /// Invocations of a subgroup that multiplies cooperative matrices; `None` if the device has none for us.
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

    /// Most bytes that a kernel may bind at once; the CPU engine has no limit.
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
}

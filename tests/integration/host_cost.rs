//! What a step of the optimizer costs the host, in allocations, against the same commands written by hand.

use crate::support::fresh_gpu;
use gradus::engine::layout::StatsBlock;
use gradus::engine::{Access, Binding, Dispatch, Engine, Program, Range};
use gradus::measure::workload;
use gradus::optim::{Clip, Optimizer, Parameters, Settings};
use gradus::wgpu;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Steps that are counted, after as many to warm up: pools and tables of wgpu's grow at first.
const STEPS: usize = 64;

/// Bytes of a clock's slot and of a report's two timestamps.
const CLOCK_BYTES: u64 = 16;
const TIMESTAMP_BYTES: u64 = 16;

const EVERYTHING: wgpu::PollType = wgpu::PollType::Wait { submission_index: None, timeout: None };

#[test]
fn a_step_allocates_no_more_than_the_same_commands_in_bare_wgpu() {
    let Some(engine) = fresh_gpu() else { return };
    for clip in [Clip::None, Clip::norm(1.0)] {
        let tensors = workload::shrunk(&workload::encoder(), 4);
        let memory = Parameters::new(&engine, &tensors, None).expect("parameters");
        let settings = Settings::default().clip(clip);
        let groups = workload::layer_groups(&tensors);
        let mut optimizer = Optimizer::new(&engine, &memory, &groups, settings).expect("an optimizer");
        assert_eq!((tensors.len(), groups.len()), (101, 26));
        let stats = optimizer.stats_range();
        let bare = Bare::of(&engine, optimizer.program().expect("a program"), &stats);

        let device = engine.device().expect("a device");
        let mut ours = || {
            optimizer.step().expect("a step");
            // The wait is the test's: a step has none, and `Engine::wait` keeps a list of what it waits for.
            device.poll(EVERYTHING).expect("a poll");
            optimizer.stats().expect("reports").expect("one has arrived")
        };
        let mut steps = 0;
        let ours = allocations(|| steps += u64::from(ours().step < u64::MAX));
        let by_hand = allocations(|| assert!(bare.step()));
        assert_eq!(steps, 2 * STEPS as u64);
        // A poll that finds the work done allocates once less, which a busy machine makes often: such steps are not
        // what either side is held to.
        let by_hand = by_hand[STEPS * 3 / 4];
        assert!(by_hand > 1, "wgpu itself allocates: {by_hand}");
        assert!(ours[STEPS * 3 / 4] <= by_hand, "{clip:?}: {ours:?} allocations a step, by hand {by_hand}");
        // A table or a pool may double once in a while.
        let (all, bound) = (ours.iter().sum::<u64>(), by_hand * STEPS as u64 + STEPS as u64 / 4);
        assert!(all < bound, "{clip:?}: {all} allocations in {STEPS} steps, by hand {by_hand} in each");
    }
}

/// Allocations of this thread in each of so many calls, sorted, once as many have been made.
fn allocations(mut call: impl FnMut()) -> Vec<u64> {
    (0..STEPS).for_each(|_| call());
    let mut counts: Vec<u64> = (0..STEPS).map(|_| allocation_counter::measure(&mut call).count_total).collect();
    counts.sort_unstable();
    counts
}

/// A program's commands as one would write them in wgpu by hand: a pass with its dispatches between two timestamps, a
/// report copied to a buffer that is then mapped.
struct Bare {
    device: wgpu::Device,
    queue: wgpu::Queue,
    label: String,
    dispatches: Vec<BareDispatch>,
    stats: wgpu::Buffer,
    staging: wgpu::Buffer,
    timer: Option<(wgpu::QuerySet, wgpu::Buffer)>,
    arrived: Arc<AtomicBool>,
}

struct BareDispatch {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    is_clocked: bool,
    grid: [u32; 3],
}

impl Bare {
    fn of(engine: &Engine, program: &Program, stats: &Range) -> Bare {
        let device = engine.device().expect("a device").clone();
        let buffer = |bytes, usage| {
            let descriptor = wgpu::BufferDescriptor { label: None, size: bytes, usage, mapped_at_creation: false };
            device.create_buffer(&descriptor)
        };
        let clock = buffer(CLOCK_BYTES, wgpu::BufferUsages::UNIFORM);
        let dispatches = program.dispatches.iter().map(|dispatch| bare_dispatch(&device, &clock, dispatch)).collect();
        let timer = device.features().contains(wgpu::Features::TIMESTAMP_QUERY).then(|| {
            let ty = wgpu::QueryType::Timestamp;
            let queries = device.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty, count: 2 });
            (queries, buffer(TIMESTAMP_BYTES, wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC))
        });
        let stats = stats.buffer.wgpu().expect("a buffer on the device").clone();
        let staging = buffer(
            size_of::<StatsBlock>() as u64 + TIMESTAMP_BYTES,
            wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        );
        let queue = engine.queue().expect("a queue").clone();
        Bare { queue, label: program.label.clone(), dispatches, stats, staging, timer, device, arrived: Arc::default() }
    }

    /// One step, waited for; whether its report came back.
    fn step(&self) -> bool {
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("gradus step") };
        let mut encoder = self.device.create_command_encoder(&descriptor);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some(&self.label),
            timestamp_writes: self.timer.as_ref().map(|(queries, _)| wgpu::ComputePassTimestampWrites {
                query_set: queries,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: Some(1),
            }),
        });
        for dispatch in &self.dispatches {
            pass.set_pipeline(&dispatch.pipeline);
            pass.set_bind_group(0, &dispatch.bindings, if dispatch.is_clocked { &[0] } else { &[] });
            let [x, y, z] = dispatch.grid;
            pass.dispatch_workgroups(x, y, z);
        }
        drop(pass);
        let bytes = size_of::<StatsBlock>() as u64;
        encoder.copy_buffer_to_buffer(&self.stats, 0, &self.staging, 0, Some(bytes));
        if let Some((queries, resolved)) = &self.timer {
            encoder.resolve_query_set(queries, 0..2, resolved, 0);
            encoder.copy_buffer_to_buffer(resolved, 0, &self.staging, bytes, Some(TIMESTAMP_BYTES));
        }
        let raised = Arc::clone(&self.arrived);
        encoder.map_buffer_on_submit(&self.staging, wgpu::MapMode::Read, .., move |mapped| {
            raised.store(mapped.is_ok(), Ordering::Release);
        });
        self.queue.submit([encoder.finish()]);
        // As often as the engine does, which finds a lost device that way: with RUST_BACKTRACE set, debug builds of wgpu
        // note down a trace for every lock.
        self.device.poll(wgpu::PollType::Poll).expect("a poll");
        self.device.poll(EVERYTHING).expect("a poll");
        self.device.poll(wgpu::PollType::Poll).expect("a poll");
        let seen = self.staging.get_mapped_range(..).expect("it is mapped").len();
        self.staging.unmap();
        self.arrived.swap(false, Ordering::AcqRel) && seen as u64 == bytes + TIMESTAMP_BYTES
    }
}

fn bare_dispatch(device: &wgpu::Device, clock: &wgpu::Buffer, dispatch: &Dispatch) -> BareDispatch {
    let kernel = dispatch.kernel;
    let entries: Vec<wgpu::BindGroupLayoutEntry> = kernel
        .bindings
        .iter()
        .zip(0..)
        .map(|(access, binding)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: match access {
                    Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
                    Access::ReadWrite | Access::ReadShared => wgpu::BufferBindingType::Storage { read_only: false },
                    Access::Uniform | Access::Clock => wgpu::BufferBindingType::Uniform,
                },
                has_dynamic_offset: *access == Access::Clock,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    let label = Some(kernel.name);
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let source = wgpu::ShaderSource::Wgsl(kernel.wgsl().into());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label, source });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions { constants: &dispatch.constants, ..Default::default() },
        cache: None,
    });
    let resources = dispatch.bindings.iter().map(|binding| match binding {
        Binding::Clock => wgpu::BufferBinding { buffer: clock, offset: 0, size: wgpu::BufferSize::new(CLOCK_BYTES) },
        Binding::Memory(range) => wgpu::BufferBinding {
            buffer: range.buffer.wgpu().expect("a buffer on the device"),
            offset: range.offset,
            size: wgpu::BufferSize::new(range.bytes),
        },
    });
    let entries: Vec<wgpu::BindGroupEntry<'_>> = resources
        .zip(0..)
        .map(|(buffer, binding)| wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(buffer) })
        .collect();
    let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor { label, layout: &layout, entries: &entries });
    BareDispatch { pipeline, bindings, is_clocked: kernel.bindings.contains(&Access::Clock), grid: dispatch.grid }
}

//! Programs made ready: pipelines, built once, and bind groups.

use super::{CLOCK_BYTES, Gpu};
use crate::engine::Error;
use crate::engine::adapter::binding_bytes;
use crate::engine::faults::{Scopes, locked};
use crate::engine::kernels::{Access, Kernel};
use crate::engine::program::{Binding, Dispatch, Program};
use std::collections::HashMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The pipelines made so far.
pub(super) type Pipelines = Mutex<HashMap<Key, Arc<Pipeline>>>;

/// A kernel and the bits of its constants.
type Key = (&'static str, Vec<(&'static str, u64)>);

fn key(kernel: &Kernel, constants: &[(&'static str, f64)]) -> Key {
    (kernel.name, constants.iter().map(|(name, value)| (*name, value.to_bits())).collect())
}

pub(super) struct Pipeline {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    /// Whether the driver has been given a dispatch of it.
    begun: AtomicBool,
}

/// One dispatch, ready to be encoded.
pub(crate) struct GpuDispatch {
    pipeline: Arc<Pipeline>,
    bindings: wgpu::BindGroup,
    pub(super) grid: [u32; 3],
    clocked: bool,
}

impl GpuDispatch {
    /// Writes it into a pass, with the clock at an offset.
    pub(super) fn encode(&self, pass: &mut wgpu::ComputePass<'_>, clock: u32, [x, y, z]: [u32; 3]) {
        pass.set_pipeline(&self.pipeline.pipeline);
        pass.set_bind_group(0, &self.bindings, if self.clocked { std::slice::from_ref(&clock) } else { &[] });
        pass.dispatch_workgroups(x, y, z);
    }
}

impl Gpu {
    pub(crate) fn prepare(&self, program: &Program) -> Result<Vec<GpuDispatch>, Error> {
        self.compile(program);
        let prepare = |dispatch| self.prepare_dispatch(&program.label, dispatch);
        let dispatches = program.dispatches.iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
        if self.own && self.report.kind == "software" {
            self.begin(&dispatches)?;
        }
        Ok(dispatches)
    }

    /// Makes the new pipelines of a program, on all cores. An error here comes again, and is reported, when its
    /// dispatch is prepared.
    fn compile(&self, program: &Program) {
        let mut missing: HashMap<Key, &Dispatch> = HashMap::new();
        for dispatch in &program.dispatches {
            missing.entry(key(dispatch.kernel, &dispatch.constants)).or_insert(dispatch);
        }
        missing.retain(|key, _| !locked(&self.pipelines).contains_key(key));
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let rest = Mutex::new(missing.into_values());
        std::thread::scope(|scope| {
            for _ in 1..cores.min(locked(&rest).len()) {
                scope.spawn(|| self.compile_all(&rest));
            }
            self.compile_all(&rest);
        });
    }

    fn compile_all<'a>(&self, rest: &Mutex<impl Iterator<Item = &'a Dispatch>>) {
        loop {
            let Some(dispatch) = locked(rest).next() else { return };
            _ = self.pipeline(dispatch.kernel, &dispatch.constants);
        }
    }

    /// Gives the driver a dispatch of no workgroups for each pipeline that it has not had one of. A driver on a processor
    /// compiles at the first dispatch: so it does while the host prepares and uploads what is left.
    fn begin(&self, dispatches: &[GpuDispatch]) -> Result<(), Error> {
        let is_new = |dispatch: &&GpuDispatch| !dispatch.pipeline.begun.swap(true, Ordering::Relaxed);
        let mut new = dispatches.iter().filter(is_new).peekable();
        if new.peek().is_none() {
            return Ok(());
        }
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("gradus kernels") };
        let mut encoder = self.device.create_command_encoder(&descriptor);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for dispatch in new {
            dispatch.encode(&mut pass, 0, [0; 3]);
        }
        drop(pass);
        let refused = |reason| self.refused("kernels without workgroups", reason);
        self.hand_in(encoder.finish()).map(|_| ()).map_err(refused)
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
                    let buffer = self.own_buffer(&range.buffer)?;
                    let limit = match access {
                        Access::Uniform | Access::Clock => self.limits.max_uniform_buffer_binding_size,
                        Access::Read | Access::ReadWrite | Access::ReadShared => binding_bytes(&self.limits),
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
        let key = key(kernel, constants);
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
            source: wgpu::ShaderSource::Wgsl(kernel.wgsl_with(&self.shaders).into()),
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
            cache: self.cache.get(),
        });
        scopes.close(&format!("kernel {:?}", kernel.name), &self.report.name)?;
        let pipeline = Arc::new(Pipeline { pipeline, layout, begun: AtomicBool::new(false) });
        locked(&self.pipelines).insert(key, Arc::clone(&pipeline));
        Ok(pipeline)
    }
}

fn layout_entry(binding: u32, access: Access) -> wgpu::BindGroupLayoutEntry {
    let ty = match access {
        Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
        Access::ReadWrite | Access::ReadShared => wgpu::BufferBindingType::Storage { read_only: false },
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

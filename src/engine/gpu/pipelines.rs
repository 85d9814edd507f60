//! Programs made ready: pipelines, built once, and bind groups.

use super::{CLOCK_BYTES, Gpu};
use crate::engine::Error;
use crate::engine::adapter::binding_bytes;
use crate::engine::buffer::Memory;
use crate::engine::faults::{Scopes, locked};
use crate::engine::kernels::{Access, Kernel};
use crate::engine::program::{Binding, Dispatch, Program};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The pipelines made so far, by kernel and constants.
pub(super) type Pipelines = Mutex<HashMap<(&'static str, Vec<(&'static str, u64)>), Arc<Pipeline>>>;

pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

/// One dispatch, ready to be encoded.
pub(crate) struct GpuDispatch {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) bindings: wgpu::BindGroup,
    pub(super) grid: [u32; 3],
    pub(super) clocked: bool,
}

impl Gpu {
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
            cache: None,
        });
        scopes.close(&format!("kernel {:?}", kernel.name), &self.report.name)?;
        let pipeline = Arc::new(Pipeline { pipeline, layout });
        locked(&self.pipelines).insert(key, Arc::clone(&pipeline));
        Ok(pipeline)
    }
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

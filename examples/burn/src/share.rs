//! Burn's tensors as ranges of wgpu buffers: all that gradus needs to train them where they lie.

use burn::backend::Wgpu;
use burn::backend::wgpu::{AutoCompiler, CubeBackend};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};
use cubecl_wgpu::WgpuServer;
use gradus::engine::{Buffer, Engine, Range};
use gradus::wgpu;
use std::any::Any;
use std::collections::HashMap;

pub type Failure = Box<dyn std::error::Error>;

/// Where a tensor of Burn's lies.
pub struct Lent {
    /// The parameter's name in its module, such as `body.0.weight`.
    pub name: String,
    pub shape: Vec<usize>,
    pub range: Range,
    /// Burn's hold on the place: without one it may move the tensor, to fill gaps, or give the place to another.
    _held: Box<dyn Any>,
}

/// A device that Burn made, and gradus on it.
pub struct Lender {
    pub device: Device,
    pub engine: Engine,
    pub adapter: wgpu::AdapterInfo,
    /// Every buffer is imported once. They are few: Burn's tensors share them.
    buffers: HashMap<wgpu::Buffer, Buffer>,
}

impl Lender {
    pub fn open() -> Result<Lender, Failure> {
        let (device, setup) = Device::wgpu_options().init_with_setup()?;
        let engine = Engine::from_device(setup.device, setup.queue)?;
        Ok(Lender { device: device.autodiff(), engine, adapter: setup.adapter.get_info(), buffers: HashMap::new() })
    }

    /// The places of a model's parameters, or of the gradients that there are. Parameters stay where they are; gradients
    /// lie elsewhere after every backward pass.
    pub fn lend<M: Module>(&mut self, model: &M, gradients: Option<GradientsParams>) -> Result<Vec<Lent>, Failure> {
        let mut walk = Walk { lender: self, gradients, path: Vec::new(), lent: Ok(Vec::new()) };
        model.visit(&mut walk);
        let lent = walk.lent?;
        // What Burn has recorded goes to the queue now: a step that is submitted from here on comes after it.
        self.device.flush()?;
        Ok(lent)
    }

    fn place<const D: usize>(&mut self, name: String, tensor: Tensor<D>) -> Result<Lent, Failure> {
        let shape = tensor.dims().to_vec();
        let fused = tensor.try_into_primitive::<Wgpu>().map_err(|error| format!("{name}: {error:?}"))?;
        // Runs what Burn still waits to fuse.
        let tensor = fused.client.clone().resolve_tensor_float::<CubeBackend>(fused);
        if tensor.dtype != DType::F32 || !tensor.is_contiguous() {
            return Err(format!("{name} is not contiguous f32").into());
        }
        let held = tensor.client.get_resource::<WgpuServer<AutoCompiler>>(tensor.handle)?;
        let place = held.resource();
        if !self.buffers.contains_key(&place.buffer) {
            self.buffers.insert(place.buffer.clone(), self.engine.import("burn", &place.buffer)?);
        }
        let bytes = 4 * shape.iter().product::<usize>() as u64;
        let range = self.buffers[&place.buffer].range(place.offset, bytes)?;
        Ok(Lent { name, shape, range, _held: Box::new(held) })
    }
}

/// Goes through a module for [`Lender::lend`].
struct Walk<'a> {
    lender: &'a mut Lender,
    gradients: Option<GradientsParams>,
    path: Vec<String>,
    lent: Result<Vec<Lent>, Failure>,
}

impl ModuleVisitor for Walk<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = match &mut self.gradients {
            Some(gradients) => gradients.remove::<D>(param.id),
            None => Some(param.val().inner()),
        };
        let (Some(tensor), Ok(lent)) = (tensor, &mut self.lent) else { return };
        match self.lender.place(self.path.join("."), tensor) {
            Ok(place) => lent.push(place),
            Err(failure) => self.lent = Err(failure),
        }
    }
}

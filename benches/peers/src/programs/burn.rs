//! burn 0.22 on wgpu, with fusion and tuning. Batch, places and mask lie on the device.

use super::Steps;
use crate::Failure;
use crate::workload::{self, Group, Mlp, Model, Tensor, Transformer, Work, names, product, reals};
use burn::lr_scheduler::constant::ConstantLr;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{Module, Param, ParamGroup};
use burn::nn::attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig, generate_autoregressive_mask};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Embedding, EmbeddingConfig, Gelu, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::relu;
use burn::tensor::{Bool, Device, Int, Tensor as Array, TensorData};

pub fn open(work: &Work) -> Result<Box<dyn Steps>, Failure> {
    let (device, setup) = Device::wgpu_options().init_with_setup()?;
    let info = setup.adapter.get_info();
    let name = format!("{}; {}; {} {}; burn 0.22.1", info.name, info.backend, info.driver, info.driver_info);
    let kind = if format!("{:?}", info.device_type) == "Cpu" { "software" } else { "gpu" };
    let adapter = Adapter { device: device.autodiff(), name, kind };
    adapter.device.seed(7);
    match &work.model {
        Model::Mlp(sizes) => Ok(mlp(adapter, sizes, work.groups[0])),
        Model::Transformer(sizes) => Ok(transformer(adapter, sizes, work.groups[0])),
        Model::Tensors(tensors) => Ok(Box::new(Update::new(adapter, tensors, &work.groups))),
    }
}

/// A device with automatic differentiation, and what it is.
struct Adapter {
    device: Device,
    name: String,
    kind: &'static str,
}

impl Adapter {
    fn ints<const D: usize>(&self, values: &[u32], shape: [usize; D]) -> Array<D, Int> {
        let values: Vec<i32> = values.iter().map(|value| *value as i32).collect();
        Array::from_data(TensorData::new(values, shape), &self.device)
    }
}

fn adamw(group: Group) -> AdamWConfig {
    AdamWConfig::new().with_weight_decay(group.decay as f32).with_epsilon(1e-8)
}

// ---- a training step ----

struct Training<M, L> {
    adapter: Adapter,
    /// Gone while it is updated.
    model: Option<M>,
    loss: L,
    optimizer: ModuleOptimizer,
    rate: f64,
}

impl<M: Module, L: Fn(&M) -> Array<1>> Training<M, L> {
    fn new(adapter: Adapter, model: M, group: Group, loss: L) -> Training<M, L> {
        Training { adapter, model: Some(model), loss, optimizer: adamw(group).init(), rate: group.rate }
    }
}

impl<M: Module, L: Fn(&M) -> Array<1>> Steps for Training<M, L> {
    fn device(&self) -> String {
        self.adapter.name.clone()
    }

    fn kind(&self) -> &'static str {
        self.adapter.kind
    }

    fn parameters(&self) -> usize {
        self.model.as_ref().map_or(0, Module::num_params)
    }

    fn step(&mut self) -> Result<(), Failure> {
        let model = self.model.take().ok_or("a step failed")?;
        let gradients = GradientsParams::from_grads((self.loss)(&model).backward(), &model);
        self.model = Some(self.optimizer.step(self.rate, model, gradients));
        Ok(self.adapter.device.sync()?)
    }

    /// Of a forward pass of its own, so that a step keeps nothing for it.
    fn loss(&mut self) -> Result<f64, Failure> {
        let model = self.model.as_ref().ok_or("a step failed")?;
        Ok((self.loss)(model).into_scalar::<f32>().into())
    }
}

// ---- the MLP ----

#[derive(Module, Debug)]
struct Layers {
    layers: Vec<Linear>,
}

impl Layers {
    fn forward(&self, x: Array<2>) -> Array<2> {
        let last = self.layers.len() - 1;
        let hidden = self.layers[..last].iter().fold(x, |x, layer| relu(layer.forward(x)));
        self.layers[last].forward(hidden)
    }
}

fn mlp(adapter: Adapter, work: &Mlp, group: Group) -> Box<dyn Steps> {
    let device = &adapter.device;
    let Mlp { batch, sizes } = *work;
    let layers = sizes.windows(2).map(|pair| LinearConfig::new(pair[0], pair[1]).init(device)).collect();
    let x = Array::<2>::from_data(TensorData::new(reals(1, batch * sizes[0]), [batch, sizes[0]]), device);
    let labels = adapter.ints(&names(2, batch, sizes[3]), [batch]);
    let cross_entropy = CrossEntropyLossConfig::new().init(device);
    let loss = move |model: &Layers| cross_entropy.forward(model.forward(x.clone()), labels.clone());
    Box::new(Training::new(adapter, Layers { layers }, group, loss))
}

// ---- the transformer ----

#[derive(Module, Debug)]
struct Block {
    attention: MultiHeadAttention,
    attention_norm: LayerNorm,
    up: Linear,
    gelu: Gelu,
    down: Linear,
    norm: LayerNorm,
}

impl Block {
    fn new(sizes: &Transformer, device: &Device) -> Block {
        let Transformer { hidden, heads, .. } = *sizes;
        Block {
            attention: MultiHeadAttentionConfig::new(hidden, heads).with_dropout(0.0).init(device),
            attention_norm: LayerNormConfig::new(hidden).init(device),
            up: LinearConfig::new(hidden, 4 * hidden).init(device),
            gelu: Gelu::new(),
            down: LinearConfig::new(4 * hidden, hidden).init(device),
            norm: LayerNormConfig::new(hidden).init(device),
        }
    }

    fn feed(&self, x: Array<3>) -> Array<3> {
        self.down.forward(self.gelu.forward(self.up.forward(x)))
    }

    /// Pre-norm with a mask, post-norm without.
    fn forward(&self, x: Array<3>, mask: Option<Array<3, Bool>>) -> Array<3> {
        let Some(mask) = mask else {
            let attended = self.attention.forward(MhaInput::self_attn(x.clone())).context;
            let x = self.attention_norm.forward(x + attended);
            return self.norm.forward(x.clone() + self.feed(x));
        };
        let input = MhaInput::self_attn(self.attention_norm.forward(x.clone())).mask_attn(mask);
        let x = x + self.attention.forward(input).context;
        x.clone() + self.feed(self.norm.forward(x))
    }
}

#[derive(Module, Debug)]
struct Body {
    tokens: Embedding,
    positions: Embedding,
    types: Option<Embedding>,
    norm: LayerNorm,
    blocks: Vec<Block>,
    head: Linear,
}

/// What lies on the device for every step.
struct Input {
    tokens: Array<2, Int>,
    places: Array<2, Int>,
    types: Array<2, Int>,
    mask: Option<Array<3, Bool>>,
}

impl Body {
    fn new(sizes: &Transformer, device: &Device) -> Body {
        let Transformer { hidden, types, .. } = *sizes;
        let table = |rows: usize| EmbeddingConfig::new(rows, hidden).init(device);
        Body {
            tokens: table(sizes.vocabulary),
            positions: table(sizes.positions),
            types: (types > 0).then(|| table(types)),
            norm: LayerNormConfig::new(hidden).init(device),
            blocks: (0..sizes.layers).map(|_| Block::new(sizes, device)).collect(),
            head: LinearConfig::new(hidden, sizes.outputs).with_bias(!sizes.causal).init(device),
        }
    }

    fn forward(&self, input: &Input) -> Array<2> {
        let mut x = self.tokens.forward(input.tokens.clone()) + self.positions.forward(input.places.clone());
        if let Some(types) = &self.types {
            x = x + types.forward(input.types.clone());
        }
        let through = |x| self.blocks.iter().fold(x, |x, block| block.forward(x, input.mask.clone()));
        match input.mask {
            Some(_) => self.head.forward(self.norm.forward(through(x))).flatten(0, 1),
            None => self.head.forward(through(self.norm.forward(x)).mean_dim(1).squeeze_dim::<2>(1)),
        }
    }
}

fn transformer(adapter: Adapter, sizes: &Transformer, group: Group) -> Box<dyn Steps> {
    let device = &adapter.device;
    let Transformer { batch, time, .. } = *sizes;
    let places: Vec<u32> = (0..sizes.tokens()).map(|at| (at % time) as u32).collect();
    let input = Input {
        tokens: adapter.ints(&names(1, sizes.tokens(), sizes.vocabulary), [batch, time]),
        places: adapter.ints(&places, [batch, time]),
        types: adapter.ints(&vec![0; sizes.tokens()], [batch, time]),
        mask: sizes.causal.then(|| generate_autoregressive_mask(batch, time, device)),
    };
    let labels = adapter.ints(&names(2, sizes.labels(), sizes.outputs), [sizes.labels()]);
    let cross_entropy = CrossEntropyLossConfig::new().init(device);
    let model = Body::new(sizes, device);
    let loss = move |model: &Body| cross_entropy.forward(model.forward(&input), labels.clone());
    Box::new(Training::new(adapter, model, group, loss))
}

// ---- the update alone ----

#[derive(Module, Debug)]
struct Bag {
    tensors: Vec<Param<Array<1>>>,
}

struct Update {
    adapter: Adapter,
    bag: Option<Bag>,
    slopes: Vec<f32>,
    /// The same on the device.
    uploaded: Array<1>,
    gradients: Option<GradientsParams>,
    optimizer: ModuleOptimizer,
    rates: ModuleLrScheduler,
}

impl Update {
    fn new(adapter: Adapter, tensors: &[Tensor], groups: &[Group]) -> Update {
        let device = &adapter.device;
        let ones = |tensor: &Tensor| Param::from_tensor(Array::<1>::ones([tensor.elements], device));
        let mut optimizer = adamw(groups[0]).init();
        let mut rates = ModuleLrScheduler::new(ConstantLr::from(groups[0].rate));
        for (place, settings) in groups.iter().enumerate().skip(1) {
            let own = (0..tensors.len()).filter(|at| tensors[*at].group == place);
            let group = ParamGroup::from_paths(own.map(|at| format!("tensors.{at}")).collect::<Vec<_>>());
            optimizer = optimizer.with_group(group.clone(), adamw(*settings).build(), None);
            rates = rates.with_group(group, ConstantLr::from(settings.rate));
        }
        let slopes = workload::gradient(tensors);
        Update {
            bag: Some(Bag { tensors: tensors.iter().map(ones).collect() }),
            uploaded: Array::from_floats(slopes.as_slice(), device),
            slopes,
            gradients: None,
            optimizer,
            rates,
            adapter,
        }
    }

    /// The sum of parameter times gradient.
    fn product(&self, bag: &Bag) -> Array<1> {
        let term = |tensor: &Param<Array<1>>| {
            let tensor = tensor.val();
            let elements = tensor.dims()[0];
            (tensor * self.uploaded.clone().narrow(0, 0, elements)).sum()
        };
        bag.tensors.iter().map(term).fold(Array::zeros([1], &self.adapter.device), |sum, term| sum + term)
    }
}

impl Steps for Update {
    fn device(&self) -> String {
        self.adapter.name.clone()
    }

    fn kind(&self) -> &'static str {
        self.adapter.kind
    }

    fn parameters(&self) -> usize {
        self.bag.as_ref().map_or(0, Module::num_params)
    }

    /// Makes gradients, a real tensor each: a step uses them up.
    fn prepare(&mut self) -> Result<(), Failure> {
        let bag = self.bag.as_ref().ok_or("a step failed")?;
        self.gradients = Some(GradientsParams::from_grads(self.product(bag).backward(), bag));
        Ok(self.adapter.device.sync()?)
    }

    fn step(&mut self) -> Result<(), Failure> {
        let bag = self.bag.take().ok_or("a step failed")?;
        let gradients = self.gradients.take().ok_or("no gradients")?;
        self.bag = Some(self.optimizer.step(self.rates.step(), bag, gradients));
        Ok(self.adapter.device.sync()?)
    }

    fn loss(&mut self) -> Result<f64, Failure> {
        let bag = self.bag.as_ref().ok_or("a step failed")?;
        let mut sum = 0.0;
        for tensor in &bag.tensors {
            let values = tensor.val().into_data();
            sum += product(values.as_slice()?, &self.slopes);
        }
        Ok(sum / self.parameters() as f64)
    }
}

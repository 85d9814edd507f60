//! The multi-layer perceptron: linear layers with an activation between them, and softmax cross-entropy on top.

use super::init::uniform_within;
use super::limits;
use super::ops::{self, After, Gradient, activation_bytes};
use super::{Error, Parameter, vector};
use crate::engine::layout::{Linear, Loss, Metrics, Position, Verdict};
use crate::engine::{self, Buffer, Dispatch, Engine, Range};
use crate::params::Param;

/// The activation between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(z, 0).
    Relu,
    /// z Φ(z), the erf form (Hendrycks & Gimpel 2016).
    Gelu,
    /// z (1 + tanh u) / 2, as in GPT-2.
    GeluNew,
    /// tanh z.
    Tanh,
}

impl Activation {
    /// Reads `relu`, `gelu`, `gelu_new` or `tanh`, the names that Hugging Face configs use.
    ///
    /// # Errors
    /// [`Error::UnknownActivation`].
    pub fn parse(name: &str) -> Result<Activation, Error> {
        match name {
            "relu" => Ok(Activation::Relu),
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" => Ok(Activation::GeluNew),
            "tanh" => Ok(Activation::Tanh),
            _ => Err(Error::UnknownActivation { name: name.to_owned() }),
        }
    }

    pub(super) fn number(self) -> f64 {
        match self {
            Activation::Relu => 1.0,
            Activation::Gelu => 2.0,
            Activation::GeluNew => 3.0,
            Activation::Tanh => 4.0,
        }
    }
}

/// An MLP by its sizes. Parameters are `layers.0.weight` (outputs by inputs), `layers.0.bias` (outputs), `layers.1.weight`, …
#[derive(Clone, Debug)]
pub struct Mlp {
    sizes: Vec<usize>,
    activation: Activation,
}

/// A batch on the device.
#[derive(Clone, Debug)]
pub struct Batch {
    /// How many rows.
    pub rows: usize,
    /// Inputs, `[rows, quads(inputs)]` vec4, zero behind the last input.
    pub x: Buffer,
    /// Labels, `[rows]` u32.
    pub labels: Buffer,
    /// Where the batch stands; batch 0 starts the counts of the loss anew.
    pub position: Buffer,
}

impl Batch {
    /// An empty batch of `rows` rows of `inputs` numbers.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn new(engine: &Engine, rows: usize, inputs: usize) -> Result<Batch, Error> {
        Ok(Batch {
            rows,
            x: engine.buffer("x", activation_bytes(rows, inputs))?,
            labels: engine.buffer("labels", rows as u64 * 4)?,
            position: engine.buffer("position", size_of::<Position>() as u64)?,
        })
    }
}

/// What a pass over a batch leaves on the device: for each layer z, h and the gradient of z; and the loss's counts.
#[derive(Clone, Debug)]
pub struct Workspace {
    rows: usize,
    z: Vec<Buffer>,
    h: Vec<Buffer>,
    dz: Vec<Buffer>,
    verdicts: Buffer,
    /// Loss and right answers so far; see [`Metrics`].
    pub metrics: Buffer,
}

impl Workspace {
    fn check(&self, batch: &Batch) -> Result<(), Error> {
        if batch.rows <= self.rows {
            return Ok(());
        }
        Err(Error::BatchTooLarge { rows: batch.rows, most: self.rows })
    }

    /// The logits, `[rows, quads(classes)]` vec4.
    pub fn logits(&self) -> &Buffer {
        &self.z[self.z.len() - 1]
    }
}

impl Mlp {
    /// An MLP of these sizes: inputs, hidden layers, classes.
    ///
    /// # Errors
    /// [`Error::BadSizes`] for fewer than two sizes, or a size of 0.
    pub fn new(sizes: &[usize], activation: Activation) -> Result<Mlp, Error> {
        let bad = |reason| Err(Error::BadSizes { sizes: sizes.to_vec(), reason });
        if sizes.len() < 2 {
            return bad("it needs at least inputs and classes");
        }
        if sizes.contains(&0) {
            return bad("a layer of size 0 has nothing to learn");
        }
        if sizes.iter().any(|size| *size > 1 << 24) {
            return bad("a layer may have at most 2^24 outputs");
        }
        Ok(Mlp { sizes: sizes.to_vec(), activation })
    }

    /// Inputs of the first layer.
    pub fn inputs(&self) -> usize {
        self.sizes[0]
    }

    /// Outputs of the last layer.
    pub fn classes(&self) -> usize {
        self.sizes[self.layers()]
    }

    /// Linear layers.
    pub fn layers(&self) -> usize {
        self.sizes.len() - 1
    }

    /// The activation between layers.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Names and shapes of the parameters.
    pub fn params(&self) -> Vec<Param> {
        (0..self.layers())
            .flat_map(|layer| {
                let (inputs, outputs) = (self.sizes[layer], self.sizes[layer + 1]);
                [Param::new(weight(layer), [outputs, inputs]), Param::new(bias(layer), [outputs])]
            })
            .collect()
    }

    /// Initial values of each parameter: uniform in ±1/√inputs, as `torch.nn.Linear`, from a seed.
    pub fn initial(&self, seed: u32) -> Vec<(String, Vec<f32>)> {
        let params = self.params();
        let values = (0..).zip(&params).map(|(tensor, param)| {
            let bound = 1.0 / (self.sizes[tensor as usize / 2] as f32).sqrt();
            (param.name.clone(), uniform_within(bound, param.elements(), seed, tensor))
        });
        values.collect()
    }

    /// Whether the device can bind each parameter and, of batches of `rows` rows, each activation. Nothing is allocated.
    ///
    /// # Errors
    /// [`Error::ParameterTooLarge`]; [`Error::ActivationTooLarge`] with the largest batch that fits.
    pub fn check(&self, engine: &Engine, rows: usize) -> Result<(), Error> {
        limits::check_parameters(engine, &self.params())?;
        let widest = (0..self.sizes.len()).rev().max_by_key(|place| self.sizes[*place]).unwrap_or(0);
        let name = widest.checked_sub(1).map_or_else(|| "x".to_owned(), |layer| format!("layers.{layer}.z"));
        let largest = |rows| (name.clone(), activation_bytes(rows, self.sizes[widest]));
        limits::check_batch(engine.binding_bytes(), rows, largest)
    }

    /// Bytes of a [`workspace`](Mlp::workspace) for batches of `rows` rows, but for the few of the loss's counts.
    pub fn workspace_bytes(&self, rows: usize) -> u64 {
        let outputs = &self.sizes[1..];
        // z and its gradient of each layer, h of all but the last.
        let bytes = |widths: &[usize]| widths.iter().map(|width| activation_bytes(rows, *width)).sum::<u64>();
        2 * bytes(outputs) + bytes(&outputs[..outputs.len() - 1]) + (rows * size_of::<Verdict>()) as u64
    }

    /// Buffers for a pass over batches of `rows` rows.
    ///
    /// # Errors
    /// As [`check`](Mlp::check); out of device memory.
    pub fn workspace(&self, engine: &Engine, rows: usize) -> Result<Workspace, Error> {
        self.check(engine, rows)?;
        let make = |label: &str, layers: std::ops::Range<usize>| {
            layers
                .map(|layer| {
                    let bytes = activation_bytes(rows, self.sizes[layer + 1]);
                    engine.buffer(&format!("layers.{layer}.{label}"), bytes)
                })
                .collect::<Result<Vec<Buffer>, engine::Error>>()
        };
        Ok(Workspace {
            rows,
            z: make("z", 0..self.layers())?,
            h: make("h", 0..self.layers() - 1)?,
            dz: make("dz", 0..self.layers())?,
            verdicts: engine.buffer("verdicts", (rows * size_of::<Verdict>()) as u64)?,
            metrics: engine.buffer("metrics", size_of::<Metrics>() as u64)?,
        })
    }

    /// From the batch's inputs to the logits. `parameter` tells where each parameter lies, and how it is stored.
    ///
    /// # Errors
    /// From `parameter`; [`Error::Unreadable`], [`Error::UnreadableVector`]; out of device memory.
    pub fn forward<E: From<Error>>(
        &self,
        engine: &Engine,
        parameter: impl Fn(&str) -> Result<Parameter, E>,
        batch: &Batch,
        space: &Workspace,
    ) -> Result<Vec<Dispatch>, E> {
        space.check(batch)?;
        let mut dispatches = Vec::with_capacity(self.layers());
        for layer in 0..self.layers() {
            let x = if layer == 0 { &batch.x } else { &space.h[layer - 1] };
            let memory = [x.all(), space.z[layer].all()];
            let after = match space.h.get(layer) {
                Some(h) => After::Activation(self.activation, h.all()),
                None => After::Nothing,
            };
            let shape = self.shape(layer, batch.rows);
            let (weight, bias) = (parameter(&weight(layer))?, vector(parameter(&bias(layer))?)?);
            dispatches.push(ops::linear(engine, &shape, weight, memory, Some(bias), after)?);
        }
        Ok(dispatches)
    }

    /// Loss, right answers and the gradient of the logits. `scale` is 1 / rows of the whole step for a mean; 0: there is
    /// no gradient to be made.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn loss(&self, engine: &Engine, batch: &Batch, space: &Workspace, scale: f32) -> Result<[Dispatch; 2], Error> {
        space.check(batch)?;
        let shape = Loss::new(batch.rows, self.classes(), scale);
        let last = self.layers() - 1;
        let memory = [space.z[last].all(), batch.labels.all(), space.dz[last].all(), space.verdicts.all()];
        let gradient = if scale == 0.0 { Gradient::None } else { Gradient::Scaled };
        let sums = [space.verdicts.all(), space.metrics.all(), batch.position.all()];
        Ok([ops::softmax_cross_entropy(engine, &shape, memory, gradient)?, ops::tally(engine, &shape, sums)?])
    }

    /// From the gradient of the logits to those of the parameters. `gradient` tells where each goes, `None` for a frozen
    /// one. Nothing below the lowest layer that has a trainable parameter is touched. With `accumulate`, gradients are
    /// added to what is there.
    ///
    /// # Errors
    /// From `parameter` and `gradient`; [`Error::Unreadable`], [`Error::UnreadableVector`]; out of device memory.
    pub fn backward<E: From<Error>>(
        &self,
        engine: &Engine,
        parameter: impl Fn(&str) -> Result<Parameter, E>,
        gradient: impl Fn(&str) -> Result<Option<Range>, E>,
        batch: &Batch,
        space: &Workspace,
        accumulate: bool,
    ) -> Result<Vec<Dispatch>, E> {
        space.check(batch)?;
        let mut gradients = Vec::with_capacity(self.layers());
        for layer in 0..self.layers() {
            gradients.push((gradient(&weight(layer))?, gradient(&bias(layer))?));
        }
        let trained = |pair: &(Option<Range>, Option<Range>)| pair.0.is_some() || pair.1.is_some();
        let Some(lowest) = gradients.iter().position(trained) else { return Ok(Vec::new()) };
        let mut dispatches = Vec::new();
        for layer in (lowest..self.layers()).rev() {
            let shape = self.shape(layer, batch.rows);
            let dz = &space.dz[layer];
            if trained(&gradients[layer]) {
                let x = if layer == 0 { &batch.x } else { &space.h[layer - 1] };
                let (memory, targets) = ([dz.all(), x.all()], gradients[layer].clone().into());
                dispatches.push(ops::linear_backward_weight(engine, &shape, memory, targets, accumulate)?);
            }
            if layer > lowest {
                let (weight, memory) = (parameter(&weight(layer))?, [dz.all(), space.dz[layer - 1].all()]);
                let below = Some((self.activation, space.z[layer - 1].all()));
                dispatches.push(ops::linear_backward_input(engine, &shape, weight, memory, below, false)?);
            }
        }
        Ok(dispatches)
    }

    fn shape(&self, layer: usize, rows: usize) -> Linear {
        Linear::new(rows, self.sizes[layer], self.sizes[layer + 1])
    }
}

fn weight(layer: usize) -> String {
    format!("layers.{layer}.weight")
}

fn bias(layer: usize) -> String {
    format!("layers.{layer}.bias")
}

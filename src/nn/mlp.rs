//! The multi-layer perceptron: linear layers with an activation between them, and softmax cross-entropy on top.

use super::Error;
use super::init::uniform_within;
use crate::engine::layout::{Linear, Loss, Metrics, Position};
use crate::engine::{self, Binding, Buffer, Dispatch, Engine, Kernel, Range, kernel, row_of};
use crate::params::Param;

/// The activation between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(z, 0).
    Relu,
    /// z Φ(z), the erf form (Hendrycks & Gimpel 2016).
    Gelu,
}

impl Activation {
    /// Reads `relu` or `gelu`.
    ///
    /// # Errors
    /// [`Error::UnknownActivation`].
    pub fn parse(name: &str) -> Result<Activation, Error> {
        match name {
            "relu" => Ok(Activation::Relu),
            "gelu" => Ok(Activation::Gelu),
            _ => Err(Error::UnknownActivation { name: name.to_owned() }),
        }
    }

    fn number(self) -> f64 {
        match self {
            Activation::Relu => 1.0,
            Activation::Gelu => 2.0,
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
#[derive(Debug)]
pub struct Workspace {
    rows: usize,
    z: Vec<Buffer>,
    h: Vec<Buffer>,
    dz: Vec<Buffer>,
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

/// Vec4s in a row of this many numbers.
fn quads(width: usize) -> usize {
    width.div_ceil(4)
}

fn activation_bytes(rows: usize, width: usize) -> u64 {
    (rows * quads(width) * 16) as u64
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
        let values = params.iter().enumerate().map(|(tensor, param)| {
            let bound = 1.0 / (self.sizes[tensor / 2] as f32).sqrt();
            (param.name.clone(), uniform_within(bound, param.elements(), seed, tensor as u32))
        });
        values.collect()
    }

    /// Buffers for a pass over batches of `rows` rows.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn workspace(&self, engine: &Engine, rows: usize) -> Result<Workspace, Error> {
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
            metrics: engine.buffer("metrics", size_of::<Metrics>() as u64)?,
        })
    }

    /// From the batch's inputs to the logits. `parameter` tells where each parameter lies.
    ///
    /// # Errors
    /// From `parameter`, or out of device memory.
    pub fn forward<E: From<Error>>(
        &self,
        engine: &Engine,
        parameter: impl Fn(&str) -> Result<Range, E>,
        batch: &Batch,
        space: &Workspace,
    ) -> Result<Vec<Dispatch>, E> {
        space.check(batch)?;
        let mut dispatches = Vec::with_capacity(self.layers());
        for layer in 0..self.layers() {
            let shape = self.shape(layer, batch.rows);
            let x = if layer == 0 { &batch.x } else { &space.h[layer - 1] };
            let mut bindings: Vec<Binding> = vec![
                x.into(),
                parameter(&weight(layer))?.into(),
                parameter(&bias(layer))?.into(),
                (&space.z[layer]).into(),
                (&self.shape_buffer(engine, shape)?).into(),
            ];
            let activated = layer + 1 < self.layers();
            let mut constants = vec![("WORKGROUP", workgroup(engine))];
            if activated {
                bindings.push((&space.h[layer]).into());
                constants.push(("ACTIVATION", self.activation.number()));
            }
            let kernel = variant("linear", shape.inputs, activated)?;
            let tiles = tiles(shape.rows, shape.outputs);
            dispatches.push(tiled(engine, kernel, bindings, constants, tiles, streams(&shape)));
        }
        Ok(dispatches)
    }

    /// Loss, right answers and the gradient of the logits. `scale` is 1 / rows of the whole step for a mean.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn loss(&self, engine: &Engine, batch: &Batch, space: &Workspace, scale: f32) -> Result<Dispatch, Error> {
        space.check(batch)?;
        let layer = self.layers() - 1;
        let classes = self.classes();
        let shape = Loss { rows: batch.rows as u32, classes: classes as u32, quads: quads(classes) as u32, scale };
        let shape = engine.buffer_with("loss shape", &[shape])?;
        Ok(Dispatch {
            kernel: kernel("softmax_cross_entropy").map_err(Error::from)?,
            bindings: vec![
                (&space.z[layer]).into(),
                (&batch.labels).into(),
                (&space.dz[layer]).into(),
                (&space.metrics).into(),
                (&batch.position).into(),
                (&shape).into(),
            ],
            constants: vec![("WORKGROUP", if engine.is_software() { 8.0 } else { 256.0 })],
            grid: [1, 1, 1],
            bytes: 2 * activation_bytes(batch.rows, classes),
        })
    }

    /// From the gradient of the logits to those of the parameters. `gradient` tells where each goes, `None` for a frozen
    /// one. Nothing below the lowest layer that has a trainable parameter is touched. With `accumulate`, gradients are
    /// added to what is there. A layer's weight and bias are trained together or not at all.
    ///
    /// # Errors
    /// From `parameter` and `gradient`; out of device memory.
    pub fn backward<E: From<Error>>(
        &self,
        engine: &Engine,
        parameter: impl Fn(&str) -> Result<Range, E>,
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
            let shape_buffer = self.shape_buffer(engine, shape)?;
            if trained(&gradients[layer]) {
                let (dweight, dbias) = self.targets(engine, layer, &gradients[layer])?;
                let x = if layer == 0 { &batch.x } else { &space.h[layer - 1] };
                let bindings =
                    vec![(&space.dz[layer]).into(), x.into(), dweight.into(), dbias.into(), (&shape_buffer).into()];
                let constants = vec![("WORKGROUP", workgroup(engine)), ("ACCUMULATE", f64::from(u8::from(accumulate)))];
                let kernel = variant("linear_backward_weight", shape.inputs, false)?;
                let tiles = tiles(shape.outputs, shape.inputs);
                dispatches.push(tiled(engine, kernel, bindings, constants, tiles, streams(&shape)));
            }
            if layer > lowest {
                let bindings = vec![
                    (&space.dz[layer]).into(),
                    parameter(&weight(layer))?.into(),
                    (&space.z[layer - 1]).into(),
                    (&space.dz[layer - 1]).into(),
                    (&shape_buffer).into(),
                ];
                let constants = vec![("WORKGROUP", workgroup(engine)), ("ACTIVATION", self.activation.number())];
                let kernel = variant("linear_backward_input", shape.inputs, false)?;
                let tiles = tiles(shape.rows, shape.inputs);
                let bytes = streams(&shape) + activation_bytes(batch.rows, self.sizes[layer]);
                dispatches.push(tiled(engine, kernel, bindings, constants, tiles, bytes));
            }
        }
        Ok(dispatches)
    }

    /// Where a layer's gradients go; a frozen one of the two goes to a buffer that nobody reads.
    fn targets(
        &self,
        engine: &Engine,
        layer: usize,
        (weight, bias): &(Option<Range>, Option<Range>),
    ) -> Result<(Range, Range), Error> {
        let (inputs, outputs) = (self.sizes[layer] as u64, self.sizes[layer + 1] as u64);
        let or_aside = |range: &Option<Range>, elements: u64| match range {
            Some(range) => Ok(range.clone()),
            None => engine.buffer("aside", elements * 4).map(|buffer| buffer.all()),
        };
        Ok((or_aside(weight, inputs * outputs)?, or_aside(bias, outputs)?))
    }

    fn shape(&self, layer: usize, rows: usize) -> Linear {
        let (inputs, outputs) = (self.sizes[layer], self.sizes[layer + 1]);
        Linear {
            rows: rows as u32,
            inputs: inputs as u32,
            outputs: outputs as u32,
            input_quads: quads(inputs) as u32,
            output_quads: quads(outputs) as u32,
            ..Linear::default()
        }
    }

    fn shape_buffer(&self, engine: &Engine, shape: Linear) -> Result<Buffer, Error> {
        Ok(engine.buffer_with("linear shape", &[shape])?)
    }
}

fn weight(layer: usize) -> String {
    format!("layers.{layer}.weight")
}

fn bias(layer: usize) -> String {
    format!("layers.{layer}.bias")
}

/// Invocations of a workgroup. A software adapter runs an invocation as one lane of a vector register.
fn workgroup(engine: &Engine) -> f64 {
    if engine.is_software() { 8.0 } else { 64.0 }
}

/// Tiles of a pass: one invocation of a linear kernel makes 8 by 8 results.
///
/// Loads are what costs on a software adapter: a number loaded for a tile of this size serves 4 products, for 4 by 4 it
/// is 2. Forward, loss and backward of 784-256-128-10 on a batch of 128 take 8.1 ms (llvmpipe, 2 cores). With tiles of
/// 4 by 4 it was 13.5 ms, of 8 by 16 7.2 ms, of 16 by 16 5.9 ms, but a GPU's registers do not hold 256 sums. Workgroups
/// of 8, 16, 32 and 64 are within 5 % of each other.
fn tiles(rows: u32, columns: u32) -> u32 {
    rows.div_ceil(8) * columns.div_ceil(8)
}

/// Bytes of inputs, outputs and weights.
fn streams(shape: &Linear) -> u64 {
    let [rows, inputs, outputs] = [shape.rows, shape.inputs, shape.outputs].map(u64::from);
    4 * (rows * (inputs + outputs) + inputs * outputs)
}

fn tiled(
    engine: &Engine,
    kernel: &'static Kernel,
    bindings: Vec<Binding>,
    constants: Vec<(&'static str, f64)>,
    tiles: u32,
    bytes: u64,
) -> Dispatch {
    let grid = row_of(tiles.div_ceil(workgroup(engine) as u32));
    Dispatch { kernel, bindings, constants, grid, bytes }
}

/// The variant of a linear kernel: weights whose rows do not start at a vec4 are read one by one.
fn variant(name: &str, inputs: u32, activated: bool) -> Result<&'static Kernel, Error> {
    let suffix = match (inputs.is_multiple_of(4), activated) {
        (true, false) => "",
        (true, true) => ".activated",
        (false, false) => ".ragged",
        (false, true) => ".ragged_activated",
    };
    Ok(kernel(&format!("{name}{suffix}"))?)
}

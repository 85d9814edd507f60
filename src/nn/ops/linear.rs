//! Linear layers: three passes, each with the tiling that the engine's choices have for the layer.

use super::planes::{Layer, Planes, each, gradients_together, together};
use super::product::{Product, products, shape, streams};
use super::{ActivateBackward, Activation, After, Constants, Operate, Uses, or_aside, switch};
use crate::engine::kernels::{Flag, Flags, LINEAR, LINEAR_BACKWARD_INPUT, LINEAR_BACKWARD_WEIGHT};
use crate::engine::{Dispatch, Engine, Range, layout};
use crate::nn::graph::{Backward, Form, Graph, Home, Nodes, Placing, Sample, Value};
use crate::nn::{Error, Parameter};
use crate::params::Storage;

/// z = x Wᵀ + b, then what is folded in. Several layers of one x are side by side: each has a plane of z, and nothing is
/// folded in.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Linear {
    layers: Vec<Layer>,
    x: Value,
    pub(in crate::nn) z: Value,
    pub(in crate::nn) fused: Fused,
}

/// What is folded into a linear layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::nn) enum Fused {
    Nothing,
    /// Writes the activation of z too.
    Activation(Activation, Value),
    /// Adds this value.
    Residual(Value),
}

/// dx = dz W, the sum over the layers, through the activation that made x if there is one; added to the existing value if it
/// `adds`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct LinearBackwardInput {
    weights: Vec<String>,
    dz: Value,
    below: Option<(Activation, Value)>,
    dx: Value,
    adds: bool,
}

/// The gradients of each layer's weight and bias.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct LinearBackwardWeight {
    parameters: Vec<[Option<String>; 2]>,
    dz: Value,
    x: Value,
    adds: bool,
}

impl Graph {
    /// x Wᵀ + b, with `module`'s weight and bias.
    pub fn linear(&mut self, module: &str, x: Value, outputs: usize) -> Value {
        let z = self.nodes.shared(format!("{module}.z"), self.rows_like(x, outputs));
        self.push(Linear { layers: vec![Layer::of(module, true)], x, z, fused: Fused::Nothing });
        z
    }

    /// x Wᵀ with a weight by its own name: a tied embedding is one like any other.
    pub fn product(&mut self, label: &str, weight: &str, x: Value, outputs: usize) -> Value {
        let z = self.nodes.shared(label, self.rows_like(x, outputs));
        let layer = Layer { weight: weight.to_owned(), bias: None };
        self.push(Linear { layers: vec![layer], x, z, fused: Fused::Nothing });
        z
    }

    /// Several layers of one x, side by side in one value, a plane each; with biases or without.
    pub fn linear_planes(&mut self, label: &str, modules: &[String], x: Value, outputs: usize, biased: bool) -> Value {
        let form = Form::Planes { count: modules.len(), per_example: self.form(x).rows(), width: outputs };
        let z = self.nodes.shared(label, form);
        let layer = |(number, module): (usize, &String)| {
            self.nodes.add(format!("{module}.z"), form.plane(), Home::Plane { of: z, number });
            Layer::of(module, biased)
        };
        let layers = modules.iter().enumerate().map(layer).collect();
        self.push(Linear { layers, x, z, fused: Fused::Nothing });
        z
    }

    fn rows_like(&self, x: Value, width: usize) -> Form {
        Form::Rows { per_example: self.form(x).rows(), width }
    }
}

impl Linear {
    /// Whether an operation can be folded into it.
    pub(in crate::nn) fn can_fold(&self) -> bool {
        self.fused == Fused::Nothing && self.layers.len() == 1
    }

    /// The activated value that it makes, the activation and its argument.
    pub(in crate::nn) fn activated(&self) -> Option<(Value, (Activation, Value))> {
        match self.fused {
            Fused::Activation(activation, h) => Some((h, (activation, self.z))),
            _ => None,
        }
    }

    /// The gradient of z.
    fn dz(&self, back: &mut Backward<'_>) -> Option<Value> {
        let Some((h, (activation, z))) = self.activated() else { return back.of(self.z) };
        let dh = back.of(h)?;
        if back.is_passed(z) {
            return Some(dh);
        }
        back.add(z, |dz, adds| ActivateBackward { activation, z, dh, dz, adds });
        back.of(z)
    }
}

impl Operate for Linear {
    fn uses(&self) -> Uses {
        match self.fused {
            Fused::Nothing => Uses::new([self.x], [self.z]),
            Fused::Activation(_, h) => Uses::new([self.x], [self.z, h]),
            Fused::Residual(residual) => Uses::new([self.x, residual], [self.z]),
        }
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        let folded = match &mut self.fused {
            Fused::Nothing => None,
            Fused::Activation(_, folded) | Fused::Residual(folded) => Some(folded),
        };
        [&mut self.x, &mut self.z].into_iter().chain(folded).for_each(see);
    }

    fn params(&self) -> Vec<&str> {
        self.layers
            .iter()
            .flat_map(|layer| [Some(&layer.weight), layer.bias.as_ref()])
            .flatten()
            .map(String::as_str)
            .collect()
    }

    fn shapes(&self, nodes: &Nodes) -> Vec<Vec<usize>> {
        let [inputs, outputs] = [self.x, self.z].map(|value| nodes[value].form.width());
        let shapes = |layer: &Layer| [Some(vec![outputs, inputs]), layer.bias.as_ref().map(|_| vec![outputs])];
        self.layers.iter().flat_map(shapes).flatten().collect()
    }

    fn backward(&self, back: &mut Backward<'_>) {
        let Some(dz) = self.dz(back) else { return };
        let trained = |layer: &Layer| back.trained([Some(&layer.weight), layer.bias.as_deref()]);
        let trained: Vec<_> = self.layers.iter().map(trained).collect();
        let wholes: Vec<_> =
            trained.iter().flatten().filter(|(names, adds)| names.iter().all(Option::is_some) && !adds).collect();
        if self.layers.len() > 1 && wholes.len() == self.layers.len() {
            let parameters = wholes.into_iter().map(|(names, _)| names.clone()).collect();
            back.push(LinearBackwardWeight { parameters, dz, x: self.x, adds: false });
        } else {
            for (number, parts) in trained.into_iter().enumerate() {
                for (names, adds) in parts {
                    let dz = if self.layers.len() > 1 { back.plane(dz, number) } else { dz };
                    back.push(LinearBackwardWeight { parameters: vec![names], dz, x: self.x, adds });
                }
            }
        }
        if let Fused::Residual(residual) = self.fused
            && back.needs(residual)
        {
            back.pass(residual, dz);
        }
        if back.needs(self.x) {
            let weights = self.layers.iter().map(|layer| layer.weight.clone()).collect();
            let below = back.below(self.x);
            back.add(self.x, |dx, adds| LinearBackwardInput { weights, dz, below, dx, adds });
        }
    }

    fn products(&self, nodes: &Nodes, examples: usize) -> u64 {
        products(nodes, examples, [self.x, self.z])
    }

    fn dispatches<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Vec<Dispatch>, E> {
        let weights = each(&self.layers, |layer| at.parameter(&layer.weight))?;
        let biases: Vec<&String> = self.layers.iter().filter_map(|layer| layer.bias.as_ref()).collect();
        let biases = each(&biases, |bias| at.vector(bias))?;
        let after = match self.fused {
            Fused::Nothing => After::Nothing,
            Fused::Activation(activation, h) => After::Activation(activation, at.range(h)?),
            Fused::Residual(residual) => After::Residual(at.range(residual)?),
        };
        let (shape, x) = (shape(at, self.x, self.z), at.range(self.x)?);
        if let Some((weight, bias, planes)) = together(&weights, &biases, &shape) {
            let memory = [x, at.range(self.z)?];
            return Ok(vec![forward(at.engine(), &shape, weight, memory, bias, after, &planes)?]);
        }
        let one = |(number, weight): (usize, Parameter)| {
            let memory = [x.clone(), at.plane(self.z, number)?];
            Ok(linear(at.engine(), &shape, weight, memory, biases.get(number).cloned(), After::Nothing)?)
        };
        weights.into_iter().enumerate().map(one).collect()
    }
}

impl Operate for LinearBackwardInput {
    fn uses(&self) -> Uses {
        let reads = [Some(self.dz), self.below.map(|(_, z)| z)];
        Uses::new(reads, [self.dx]).adding(self.adds)
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        let below = self.below.as_mut().map(|(_, z)| z);
        [&mut self.dz, &mut self.dx].into_iter().chain(below).for_each(see);
    }

    fn products(&self, nodes: &Nodes, examples: usize) -> u64 {
        products(nodes, examples, [self.dz, self.dx])
    }

    fn dispatches<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Vec<Dispatch>, E> {
        let weights = each(&self.weights, |weight| at.parameter(weight))?;
        let below = self.below.map(|(activation, z)| Ok::<_, E>((activation, at.range(z)?))).transpose()?;
        let (shape, dx) = (shape(at, self.dx, self.dz), at.range(self.dx)?);
        if let Some((weight, _, planes)) = together(&weights, &[], &shape) {
            let memory = [at.range(self.dz)?, dx];
            return Ok(vec![backward_input(at.engine(), &shape, weight, memory, below, self.adds, &planes)?]);
        }
        let one = |(number, weight): (usize, Parameter)| {
            let (memory, adds) = ([at.plane(self.dz, number)?, dx.clone()], self.adds || number > 0);
            Ok(linear_backward_input(at.engine(), &shape, weight, memory, below.clone(), adds)?)
        };
        weights.into_iter().enumerate().map(one).collect()
    }
}

impl Operate for LinearBackwardWeight {
    fn uses(&self) -> Uses {
        Uses::reading([self.dz, self.x])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.dz, &mut self.x].into_iter().for_each(see);
    }

    fn products(&self, nodes: &Nodes, examples: usize) -> u64 {
        products(nodes, examples, [self.x, self.dz])
    }

    fn dispatches<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Vec<Dispatch>, E> {
        let gradients = each(&self.parameters, |names| at.gradients(names))?;
        let (shape, x, adds) = (shape(at, self.x, self.dz), at.range(self.x)?, at.accumulates(self.adds));
        if let Some((gradient, planes)) = gradients_together(&gradients, &shape) {
            let memory = [at.range(self.dz)?, x];
            return Ok(vec![backward_weight(at.engine(), &shape, memory, gradient, adds, &planes)?]);
        }
        let one = |(number, gradients): (usize, [Option<Range>; 2])| {
            let memory = [at.plane(self.dz, number)?, x.clone()];
            Ok(linear_backward_weight(at.engine(), &shape, memory, gradients, adds)?)
        };
        gradients.into_iter().enumerate().map(one).collect()
    }
}

/// Layers of all activations one after the other, one without a bias, and a residual.
fn layers(graph: &mut Graph, rows: usize, widths: [usize; 5]) -> Value {
    let mut x = graph.rows("rows", rows, widths[0]);
    for (number, (activation, width)) in Activation::ALL.into_iter().zip(&widths[1..]).enumerate() {
        let module = format!("layer.{number}");
        let z = graph.linear(&module, x, *width);
        x = graph.activate(&module, activation, z);
    }
    let one = graph.product("one", "one.weight", x, widths[4]);
    let two = graph.linear("two", x, widths[4]);
    let two = graph.add(two, one);
    graph.classified(two, 7)
}

/// Rows of vec4s and others, of one tile and of several, above 500 rows; only biases; weights stored in bf16.
pub(super) fn samples() -> Vec<Sample> {
    let layers = |rows: usize, widths: [usize; 5]| {
        let name = format!("linear layers, {rows} rows of {widths:?}");
        Sample::of(name, [rows, 1], |graph| layers(graph, 1, widths))
    };
    vec![
        layers(9, [13, 22, 31, 5, 7]),
        layers(130, [36, 32, 64, 132, 8]),
        layers(520, [5, 12, 9, 4, 16]).training(|name| name.ends_with("bias")),
        layers(33, [8, 20, 36, 12, 16]).training(|name| name.ends_with("weight")).in_bf16(),
    ]
}

/// z = x Wᵀ + b, then what comes `after`. Memory: x, z. Tied embeddings are a weight like any other.
///
/// # Errors
/// [`Error::Unreadable`]; out of device memory.
pub fn linear(
    engine: &Engine,
    shape: &layout::Linear,
    weight: Parameter,
    [x, z]: [Range; 2],
    bias: Option<Range>,
    after: After,
) -> Result<Dispatch, Error> {
    forward(engine, shape, weight, [x, z], bias, after, &Planes::ONE)
}

fn forward(
    engine: &Engine,
    shape: &layout::Linear,
    weight: Parameter,
    [x, z]: [Range; 2],
    bias: Option<Range>,
    after: After,
    planes: &Planes,
) -> Result<Dispatch, Error> {
    let (weight, stored) = weight;
    let mut constants = vec![switch("BIAS", bias.is_some())];
    let bias = bias.unwrap_or_else(|| weight.clone());
    let mut memory = vec![x.into(), weight.into(), bias.into(), z.into()];
    let folded = match after {
        After::Nothing => Flags::NONE,
        After::Activation(activation, h) => {
            constants.push(("ACTIVATION", activation.number()));
            memory.push(h.into());
            Flag::Activated.into()
        }
        After::Residual(residual) => {
            memory.push(residual.into());
            Flag::Residual.into()
        }
    };
    let all = planes.all(shape);
    let (results, bytes) = ([shape.rows, all.outputs], streams(&all, stored));
    Product { family: &LINEAR, shape, planes, times: 1, results, stored, folded, memory, constants, bytes }
        .dispatch(engine)
}

/// dz_below = activation′(z_below) ∘ (dz W), added to the existing values with `accumulate`. Memory: dz, dz_below.
///
/// # Errors
/// [`Error::Unreadable`]; out of device memory.
pub fn linear_backward_input(
    engine: &Engine,
    shape: &layout::Linear,
    weight: Parameter,
    [dz, dz_below]: [Range; 2],
    below: Option<(Activation, Range)>,
    accumulate: bool,
) -> Result<Dispatch, Error> {
    backward_input(engine, shape, weight, [dz, dz_below], below, accumulate, &Planes::ONE)
}

fn backward_input(
    engine: &Engine,
    shape: &layout::Linear,
    weight: Parameter,
    [dz, dz_below]: [Range; 2],
    below: Option<(Activation, Range)>,
    accumulate: bool,
    planes: &Planes,
) -> Result<Dispatch, Error> {
    let (weight, stored) = weight;
    let activation = below.as_ref().map_or(0.0, |(activation, _)| activation.number());
    let constants: Constants = vec![("ACTIVATION", activation), switch("ACCUMULATE", accumulate)];
    let z_below = below.map_or_else(|| dz.clone(), |(_, z_below)| z_below);
    let memory = vec![dz.into(), weight.into(), z_below.into(), dz_below.into()];
    let results = [shape.rows, shape.inputs];
    let bytes = streams(&planes.all(shape), stored) + 4 * u64::from(shape.rows) * u64::from(shape.inputs);
    let (family, folded) = (&LINEAR_BACKWARD_INPUT, Flags::NONE);
    Product { family, shape, planes, times: 1, results, stored, folded, memory, constants, bytes }.dispatch(engine)
}

/// dW = dzᵀ x and db = the column sums of dz, added to what is there with `accumulate`; `None` for what is frozen.
/// Memory: dz, x.
///
/// # Errors
/// Out of device memory.
pub fn linear_backward_weight(
    engine: &Engine,
    shape: &layout::Linear,
    [dz, x]: [Range; 2],
    [dweight, dbias]: [Option<Range>; 2],
    accumulate: bool,
) -> Result<Dispatch, Error> {
    backward_weight(engine, shape, [dz, x], [dweight, dbias], accumulate, &Planes::ONE)
}

fn backward_weight(
    engine: &Engine,
    shape: &layout::Linear,
    [dz, x]: [Range; 2],
    [dweight, dbias]: [Option<Range>; 2],
    accumulate: bool,
    planes: &Planes,
) -> Result<Dispatch, Error> {
    let (weight, bias) = (dweight.is_some(), dbias.is_some() || planes.count > 1);
    let (dweight, dbias) = (or_aside(engine, dweight)?, or_aside(engine, dbias)?);
    let memory = vec![dz.into(), x.into(), dweight.into(), dbias.into()];
    let constants = vec![switch("ACCUMULATE", accumulate), switch("WEIGHT", weight), switch("BIAS", bias)];
    let (stored, all) = (Storage::F32, planes.all(shape));
    let (results, bytes) = ([shape.outputs, if weight { shape.inputs } else { 1 }], streams(&all, stored));
    let (family, folded) = (&LINEAR_BACKWARD_WEIGHT, Flags::NONE);
    Product { family, shape, planes, times: planes.count.into(), results, stored, folded, memory, constants, bytes }
        .dispatch(engine)
}

//! Linear layers: three passes, each with the tiling that the engine's choices have for the layer.

use super::squares::{Target, constant, elements, invocations};
use super::tiled::Tiled;
use super::{ActivateBackward, Activation, Constants, Draft, Operate, Uses, or_aside, read_as, switch};
use crate::engine::kernels::{Family, Flag, Flags, LINEAR, LINEAR_BACKWARD_INPUT, LINEAR_BACKWARD_WEIGHT};
use crate::engine::{Binding, Dispatch, Engine, Range, layout};
use crate::nn::graph::{Backward, Form, Graph, Home, Nodes, Placing, Sample, Value};
use crate::nn::{Error, Parameter};
use crate::params::Storage;

/// z = x Wᵀ + b, then what is folded in.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Linear {
    weight: String,
    bias: Option<String>,
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

/// dx = dz W, through the activation that made x if there is one; added to the existing value if it `adds`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct LinearBackwardInput {
    weight: String,
    dz: Value,
    below: Option<(Activation, Value)>,
    dx: Value,
    adds: bool,
}

/// The gradients of a layer's weight and bias.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct LinearBackwardWeight {
    parameters: [Option<String>; 2],
    dz: Value,
    x: Value,
    adds: bool,
}

impl Graph {
    /// x Wᵀ + b, with `module`'s weight and bias.
    pub fn linear(&mut self, module: &str, x: Value, outputs: usize) -> Value {
        let z = self.nodes.shared(format!("{module}.z"), self.rows_like(x, outputs));
        self.linear_into(module, x, z);
        z
    }

    /// x Wᵀ with a weight by its own name: a tied embedding is one like any other.
    pub fn product(&mut self, label: &str, weight: &str, x: Value, outputs: usize) -> Value {
        let z = self.nodes.shared(label, self.rows_like(x, outputs));
        self.push(Linear { weight: weight.to_owned(), bias: None, x, z, fused: Fused::Nothing });
        z
    }

    /// Several layers of one x, side by side in one value, a plane each.
    pub fn linear_planes(&mut self, label: &str, modules: &[String], x: Value, outputs: usize) -> Value {
        let plane = self.rows_like(x, outputs);
        let form = Form::Planes { count: modules.len(), per_example: plane.rows(), width: outputs };
        let planes = self.nodes.shared(label, form);
        for (number, module) in modules.iter().enumerate() {
            let z = self.nodes.add(format!("{module}.z"), plane, Home::Plane { of: planes, number });
            self.linear_into(module, x, z);
        }
        planes
    }

    fn linear_into(&mut self, module: &str, x: Value, z: Value) {
        let (weight, bias) = (format!("{module}.weight"), Some(format!("{module}.bias")));
        self.push(Linear { weight, bias, x, z, fused: Fused::Nothing });
    }

    fn rows_like(&self, x: Value, width: usize) -> Form {
        Form::Rows { per_example: self.form(x).rows(), width }
    }
}

impl Linear {
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

/// Of a product over the rows of two values.
fn products(nodes: &Nodes, examples: usize, sides: [Value; 2]) -> u64 {
    let [x, y] = sides.map(|side| match nodes[side].form {
        Form::Planes { count, width, .. } => (count * width) as u64,
        form => form.width() as u64,
    });
    (examples * nodes[sides[0]].form.rows()) as u64 * x * y
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
        [Some(&self.weight), self.bias.as_ref()].into_iter().flatten().map(String::as_str).collect()
    }

    fn shapes(&self, nodes: &Nodes) -> Vec<Vec<usize>> {
        let [inputs, outputs] = [self.x, self.z].map(|value| nodes[value].form.width());
        vec![vec![outputs, inputs], vec![outputs]]
    }

    fn backward(&self, back: &mut Backward<'_>) {
        let Some(dz) = self.dz(back) else { return };
        for (parameters, adds) in back.trained([Some(&self.weight), self.bias.as_deref()]) {
            back.push(LinearBackwardWeight { parameters, dz, x: self.x, adds });
        }
        if let Fused::Residual(residual) = self.fused
            && back.needs(residual)
        {
            back.pass(residual, dz);
        }
        if back.needs(self.x) {
            let (weight, below) = (self.weight.clone(), back.below(self.x));
            back.add(self.x, |dx, adds| LinearBackwardInput { weight, dz, below, dx, adds });
        }
    }

    fn products(&self, nodes: &Nodes, examples: usize) -> u64 {
        products(nodes, examples, [self.x, self.z])
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let bias = self.bias.as_ref().map(|bias| at.vector(bias)).transpose()?;
        let after = match self.fused {
            Fused::Nothing => After::Nothing,
            Fused::Activation(activation, h) => After::Activation(activation, at.range(h)?),
            Fused::Residual(residual) => After::Residual(at.range(residual)?),
        };
        let (shape, weight) = (shape(at, self.x, self.z), at.parameter(&self.weight)?);
        Ok(Some(linear(at.engine(), &shape, weight, at.ranges([self.x, self.z])?, bias, after)?))
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

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let below = match self.below {
            Some((activation, z)) => Some((activation, at.range(z)?)),
            None => None,
        };
        let (shape, weight) = (shape(at, self.dx, self.dz), at.parameter(&self.weight)?);
        let memory = at.ranges([self.dz, self.dx])?;
        Ok(Some(linear_backward_input(at.engine(), &shape, weight, memory, below, self.adds)?))
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

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let (shape, gradients) = (shape(at, self.x, self.dz), at.gradients(&self.parameters)?);
        let memory = at.ranges([self.dz, self.x])?;
        Ok(Some(linear_backward_weight(at.engine(), &shape, memory, gradients, at.accumulates(self.adds))?))
    }
}

/// Sizes of the layer between x and z, or between their gradients.
fn shape<E: From<Error>>(at: &Placing<'_, E>, x: Value, z: Value) -> layout::Linear {
    layout::Linear::new(at.rows(x), at.width(x), at.width(z))
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

/// Folded into a linear layer, so that its result is not read and written once more.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum After {
    /// Nothing.
    Nothing,
    /// Writes the activation of z too, here.
    Activation(Activation, Range),
    /// Adds this to z.
    Residual(Range),
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
    let (results, bytes) = ([shape.rows, shape.outputs], streams(shape, stored));
    Pass { family: &LINEAR, shape, results, stored, folded, memory, constants, bytes }.dispatch(engine)
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
    let (weight, stored) = weight;
    let activation = below.as_ref().map_or(0.0, |(activation, _)| activation.number());
    let constants: Constants = vec![("ACTIVATION", activation), switch("ACCUMULATE", accumulate)];
    let z_below = below.map_or_else(|| dz.clone(), |(_, z_below)| z_below);
    let memory = vec![dz.into(), weight.into(), z_below.into(), dz_below.into()];
    let results = [shape.rows, shape.inputs];
    let bytes = streams(shape, stored) + 4 * u64::from(shape.rows) * u64::from(shape.inputs);
    Pass { family: &LINEAR_BACKWARD_INPUT, shape, results, stored, folded: Flags::NONE, memory, constants, bytes }
        .dispatch(engine)
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
    let (weight, bias) = (dweight.is_some(), dbias.is_some());
    let (dweight, dbias) = (or_aside(engine, dweight)?, or_aside(engine, dbias)?);
    let memory = vec![dz.into(), x.into(), dweight.into(), dbias.into()];
    let constants = vec![switch("ACCUMULATE", accumulate), switch("WEIGHT", weight), switch("BIAS", bias)];
    let stored = Storage::F32;
    let (results, bytes) = ([shape.outputs, if weight { shape.inputs } else { 1 }], streams(shape, stored));
    Pass { family: &LINEAR_BACKWARD_WEIGHT, shape, results, stored, folded: Flags::NONE, memory, constants, bytes }
        .dispatch(engine)
}

/// A pass over a layer, before it has a tiling.
struct Pass<'a> {
    family: &'static Family,
    shape: &'a layout::Linear,
    /// How many down and across.
    results: [u32; 2],
    /// How the weight, or its gradient, is stored.
    stored: Storage,
    folded: Flags,
    memory: Vec<Binding>,
    constants: Constants,
    bytes: u64,
}

impl Pass<'_> {
    /// The dispatch in the tiling that is chosen for the layer.
    fn dispatch(self, engine: &Engine) -> Result<Dispatch, Error> {
        let Pass { family, shape, results: [down, across], stored, folded, memory, mut constants, bytes } = self;
        let tiled = Tiled::of(engine, family, [shape.inputs, shape.outputs], [down, across]);
        let kernel = family.variant(tiled.flags | read_as(stored, shape.inputs, Flag::Weight16)? | folded)?;
        constants.extend(tiled.constants);
        let Tiled { workgroup, invocations, .. } = tiled;
        let flops = 2 * [shape.rows, shape.inputs, shape.outputs].map(u64::from).iter().product::<u64>();
        Draft { kernel, memory, constants, invocations, workgroup, bytes, flops }.dispatch(engine, 4, shape)
    }
}

/// Bytes of inputs, outputs and weights.
fn streams(shape: &layout::Linear, stored: Storage) -> u64 {
    let [rows, inputs, outputs] = [shape.rows, shape.inputs, shape.outputs].map(u64::from);
    4 * rows * (inputs + outputs) + stored.bytes(inputs * outputs)
}

/// Partial sums of squares: one of the weight for each invocation, then those of the bias. An invocation down the first
/// tiles has as many biases as its tile is wide, its workgroup those of all.
pub(super) fn squares(dispatch: &Dispatch) -> Vec<Target> {
    let (side, invocations) = (constant(dispatch, "SIDE", 1), invocations(dispatch));
    let edge = side * 4 * constant(dispatch, "QUADS", 2);
    let weight = || Target::of(dispatch, 2, [0, invocations]);
    let bias = || Target::of(dispatch, 3, [invocations, elements(dispatch, 3).div_ceil(edge) * side]);
    let live = |switch, target: &dyn Fn() -> Option<Target>| target().filter(|_| constant(dispatch, switch, 1) != 0);
    [live("WEIGHT", &weight), live("BIAS", &bias)].into_iter().flatten().collect()
}

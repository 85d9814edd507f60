//! Layer norm.

use super::squares::{Target, constant, elements};
use super::{Draft, Operate, Uses, or_aside, quads, switch};
use crate::engine::kernels::{Flag, LAYER_NORM, LAYER_NORM_BACKWARD};
use crate::engine::{Dispatch, Engine, Range, counted, layout};
use crate::nn::Error;
use crate::nn::graph::{Backward, Form, Graph, Nodes, Placing, Sample, Value};

/// y = norm(x) γ + β. With a residual and a sum, the sum is x + residual, and is what is normalized.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct LayerNorm {
    gamma: String,
    beta: String,
    eps: f32,
    pub(in crate::nn) x: Value,
    pub(in crate::nn) residual: Option<(Value, Value)>,
    y: Value,
    moments: Value,
}

/// The gradients of what was normalized, of γ and of β.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct LayerNormBackward {
    norm: LayerNorm,
    dy: Value,
    /// If it is wanted; added to the existing value if the second `adds`.
    dx: Option<(Value, bool)>,
    parameters: [Option<String>; 2],
    /// To the parameters' gradients.
    adds: bool,
}

impl Graph {
    /// The layer norm of each row, with `module`'s weight and bias.
    pub fn layer_norm(&mut self, module: &str, x: Value, eps: f32) -> Value {
        let form = self.form(x);
        let y = self.nodes.shared(format!("{module}.y"), form);
        let records = Form::Records { bytes_per_example: form.rows() as u64 * 8 };
        let moments = self.nodes.shared(format!("{module}.moments"), records);
        let (gamma, beta) = (format!("{module}.weight"), format!("{module}.bias"));
        self.push(LayerNorm { gamma, beta, eps, x, residual: None, y, moments });
        y
    }
}

impl LayerNorm {
    /// What is normalized.
    fn normed(&self) -> Value {
        self.residual.map_or(self.x, |(_, sum)| sum)
    }

    fn shape<E: From<Error>>(&self, at: &Placing<'_, E>) -> layout::LayerNorm {
        let (rows, width) = (at.rows(self.x), at.width(self.x));
        layout::LayerNorm { rows: counted(rows), width: counted(width), quads: counted(quads(width)), eps: self.eps }
    }
}

impl Operate for LayerNorm {
    fn uses(&self) -> Uses {
        let (residual, sum) = self.residual.unzip();
        let writes = [Some(self.y), Some(self.moments), sum];
        let reads = [Some(self.x), residual];
        Uses::new(reads, writes)
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        let residual = self.residual.iter_mut().flat_map(|(residual, sum)| [residual, sum]);
        [&mut self.x, &mut self.y, &mut self.moments].into_iter().chain(residual).for_each(see);
    }

    fn params(&self) -> Vec<&str> {
        vec![&self.gamma, &self.beta]
    }

    fn shapes(&self, nodes: &Nodes) -> Vec<Vec<usize>> {
        vec![vec![nodes[self.x].form.width()]; 2]
    }

    fn backward(&self, back: &mut Backward<'_>) {
        let Some(dy) = back.of(self.y) else { return };
        let mut parts = back.trained([Some(&self.gamma), Some(&self.beta)]);
        let (parameters, adds) = parts.pop().unwrap_or_default();
        for (parameters, adds) in parts {
            back.push(LayerNormBackward { norm: self.clone(), dy, dx: None, parameters, adds });
        }
        let sides = [Some(self.x), self.residual.map(|(residual, _)| residual)];
        let sides: Vec<Value> = sides.into_iter().flatten().filter(|side| back.needs(*side)).collect();
        let trains = parameters.iter().any(Option::is_some);
        let all = |dx| LayerNormBackward { norm: self.clone(), dy, dx, parameters, adds };
        match sides[..] {
            [side] => back.add(side, |dx, adds| all(Some((dx, adds)))),
            // Both sides of the sum have one gradient.
            [x, residual] => {
                let dx = back.gradient_for(x);
                back.push(all(Some((dx, false))));
                back.pass(x, dx);
                back.pass(residual, dx);
            }
            _ if trains => back.push(all(None)),
            _ => {}
        }
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let ([x, y, moments], gamma, beta) =
            (at.ranges([self.x, self.y, self.moments])?, at.vector(&self.gamma)?, at.vector(&self.beta)?);
        let residual = self.residual.map(|(residual, sum)| at.ranges([residual, sum])).transpose()?;
        Ok(Some(layer_norm(at.engine(), &self.shape(at), [x, gamma, beta, y, moments], residual)?))
    }
}

impl Operate for LayerNormBackward {
    fn uses(&self) -> Uses {
        let (dx, adds) = self.dx.unzip();
        Uses::new([self.dy, self.norm.normed(), self.norm.moments], [dx]).adding(adds == Some(true))
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        self.norm.each_value(see);
        let dx = self.dx.as_mut().map(|(dx, _)| dx);
        [&mut self.dy].into_iter().chain(dx).for_each(see);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let LayerNormBackward { norm, dy, dx, parameters, adds } = self;
        let [dy, x, moments] = at.ranges([*dy, norm.normed(), norm.moments])?;
        let (memory, gradients) = ([dy, x, at.vector(&norm.gamma)?, moments], at.gradients(parameters)?);
        let dx = dx.map(|(dx, adds)| Ok::<_, E>((at.range(dx)?, adds))).transpose()?;
        let adds = at.accumulates(*adds);
        Ok(Some(layer_norm_backward(at.engine(), &norm.shape(at), memory, dx, gradients, adds)?))
    }
}

/// Rows of one number and of several lanes; a residual; a norm below which nothing trains.
pub(super) fn samples() -> Vec<Sample> {
    let norms = |rows: usize, width: usize| {
        let network = |graph: &mut Graph| {
            let x = graph.rows("rows", 1, width);
            let one = graph.linear("one", x, width);
            let two = graph.linear("two", x, width);
            let sum = graph.add(one, two);
            let once = graph.layer_norm("once", sum, 1e-5);
            let twice = graph.layer_norm("twice", once, 1e-2);
            let all = graph.add(twice, once);
            let all = graph.layer_norm("all", all, 1e-5);
            graph.classified(all, 5)
        };
        Sample::of(format!("norms, {rows} rows of {width}"), [rows, 1], network)
    };
    vec![
        norms(1, 1),
        norms(7, 33),
        norms(8, 384),
        norms(600, 20).training(|name| name.starts_with("once") || name.starts_with("twice")),
        norms(13, 130).training(|name| name == "once.bias" || name == "twice.weight"),
    ]
}

/// y = norm(x) γ + β; with a residual, y = norm(x + residual) γ + β. Memory: x, gamma, beta, y, moments (8 bytes a row);
/// residual: residual, sum.
///
/// # Errors
/// Out of device memory.
pub fn layer_norm(
    engine: &Engine,
    shape: &layout::LayerNorm,
    memory: [Range; 5],
    residual: Option<[Range; 2]>,
) -> Result<Dispatch, Error> {
    let streams = if residual.is_some() { 4 } else { 2 };
    let kernel = LAYER_NORM.variant(Flag::Residual.when(residual.is_some()))?;
    let memory = memory.into_iter().chain(residual.into_iter().flatten()).map(Into::into).collect();
    Draft::of_rows(engine, kernel, memory, shape.rows, shape.quads, streams).dispatch(engine, 5, shape)
}

/// The gradients of what was normalized, dx, added to the existing values where that is said, and dγ and dβ, added to what
/// is there with `accumulate`; `None` for what is not wanted. Memory: dy, x (the sum, if a residual was added), gamma,
/// moments.
///
/// # Errors
/// Out of device memory.
pub fn layer_norm_backward(
    engine: &Engine,
    shape: &layout::LayerNorm,
    memory: [Range; 4],
    dx: Option<(Range, bool)>,
    [dgamma, dbeta]: [Option<Range>; 2],
    accumulate: bool,
) -> Result<Dispatch, Error> {
    let (dx, adds) = dx.unzip();
    let wanted =
        [("INPUT", &dx), ("WEIGHT", &dgamma), ("BIAS", &dbeta)].map(|(name, range)| switch(name, range.is_some()));
    let (makes_dx, makes_weight) = (u64::from(dx.is_some()), u64::from(dgamma.is_some() || dbeta.is_some()));
    let kernel = LAYER_NORM_BACKWARD.plain();
    let mut bindings: Vec<_> = memory.into_iter().map(Into::into).collect();
    for range in [dx, dgamma, dbeta] {
        bindings.push(or_aside(engine, range)?.into());
    }
    let mut operation =
        Draft::of_rows(engine, kernel, bindings, shape.rows, shape.quads, 3 * makes_dx + 2 * makes_weight);
    operation.constants.extend([switch("ACCUMULATE", adds == Some(true)), switch("ACCUMULATE_WEIGHT", accumulate)]);
    operation.constants.extend(wanted);
    // Workgroups of rows, then those of columns.
    let [workgroup, lanes] = engine.sizes().rows.map(u64::from);
    let groups = |rows: u32| u64::from(rows).div_ceil(workgroup / lanes);
    operation.invocations = workgroup * (makes_dx * groups(shape.rows) + makes_weight * groups(shape.quads));
    operation.dispatch(engine, 7, shape)
}

/// Partial sums of squares: one of γ for each vec4, then those of β.
pub(super) fn squares(dispatch: &Dispatch) -> Vec<Target> {
    let target = |binding, switch, place: u64| {
        let quads = elements(dispatch, binding).div_ceil(4);
        Target::of(dispatch, binding, [place * quads, quads]).filter(|_| constant(dispatch, switch, 1) != 0)
    };
    [target(5, "WEIGHT", 0), target(6, "BIAS", 1)].into_iter().flatten().collect()
}

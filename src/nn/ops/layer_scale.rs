//! LayerScale: a learnt number for each column (Touvron et al. 2021, "Going deeper with Image Transformers").

use super::{Draft, Operate, Uses, lanes, quads, switch};
use crate::engine::kernels::{Flag, LAYER_SCALE, LAYER_SCALE_BACKWARD};
use crate::engine::{Dispatch, Engine, Range, counted, layout};
use crate::nn::Error;
use crate::nn::graph::{Backward, Graph, Nodes, Placing, Sample, Value};

/// y = x ∘ scale, and what else is added. Its own backward pass to x.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct LayerScale {
    scale: String,
    pub(in crate::nn) x: Value,
    pub(in crate::nn) y: Value,
    pub(in crate::nn) residual: Option<Value>,
}

/// The gradient of the scale.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct LayerScaleBackward {
    parameter: Option<String>,
    dy: Value,
    x: Value,
    adds: bool,
}

impl Graph {
    /// Each column of x by its number in `module`'s `lambda1`, a parameter of `[width]`.
    pub fn layer_scale(&mut self, module: &str, x: Value) -> Value {
        let form = self.form(x);
        let y = self.nodes.shared(format!("{module}.y"), form);
        self.push(LayerScale { scale: format!("{module}.lambda1"), x, y, residual: None });
        y
    }
}

fn shape<E: From<Error>>(at: &Placing<'_, E>, x: Value) -> layout::LayerScale {
    let (rows, width) = (counted(at.rows(x)), at.width(x));
    layout::LayerScale { rows, width: counted(width), quads: counted(quads(width)), ..layout::LayerScale::default() }
}

impl Operate for LayerScale {
    fn uses(&self) -> Uses {
        Uses::new([Some(self.x), self.residual], [self.y])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.x, &mut self.y].into_iter().chain(&mut self.residual).for_each(see);
    }

    fn params(&self) -> Vec<&str> {
        vec![&self.scale]
    }

    fn shapes(&self, nodes: &Nodes) -> Vec<Vec<usize>> {
        vec![vec![nodes[self.x].form.width()]]
    }

    fn backward(&self, back: &mut Backward<'_>) {
        let Some(dy) = back.of(self.y) else { return };
        for ([parameter], adds) in back.trained([Some(&self.scale)]) {
            back.push(LayerScaleBackward { parameter, dy, x: self.x, adds });
        }
        if let Some(residual) = self.residual.filter(|residual| back.needs(*residual)) {
            back.pass(residual, dy);
        }
        if back.needs(self.x) {
            back.write(self.x, |dx| LayerScale { x: dy, y: dx, residual: None, ..self.clone() });
        }
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let [x, y] = at.ranges([self.x, self.y])?;
        let residual = self.residual.map(|residual| at.range(residual)).transpose()?;
        Ok(Some(layer_scale(at.engine(), &shape(at, self.x), [x, at.vector(&self.scale)?, y], residual)?))
    }
}

impl Operate for LayerScaleBackward {
    fn uses(&self) -> Uses {
        Uses::reading([self.dy, self.x])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.dy, &mut self.x].into_iter().for_each(see);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let [Some(gradient)] = at.gradients(std::array::from_ref(&self.parameter))? else { return Ok(None) };
        let [dy, x] = at.ranges([self.dy, self.x])?;
        let accumulate = at.accumulates(self.adds);
        Ok(Some(layer_scale_backward(at.engine(), &shape(at, self.x), [dy, x, gradient], accumulate)?))
    }
}

/// With a residual and without, rows of vec4s and others, one row and many; a scale that is frozen.
pub(super) fn samples() -> Vec<Sample> {
    let scales = |rows: usize, width: usize| {
        let network = |graph: &mut Graph| {
            let x = graph.rows("rows", 1, 6);
            let x = graph.linear("first", x, width);
            let one = graph.layer_scale("one", x);
            let sum = graph.add(one, x);
            let two = graph.layer_scale("two", sum);
            graph.classified(two, 5)
        };
        Sample::of(format!("layer scales, {rows} rows of {width}"), [rows, 1], network)
    };
    vec![
        scales(1, 1),
        scales(7, 33),
        scales(600, 20),
        scales(130, 68).training(|name| name == "first.weight"),
        scales(9, 10).training(|name| name == "one.lambda1"),
    ]
}

/// y = x ∘ scale, column by column; with a residual, y = x ∘ scale + residual. Memory: x, scale, y.
///
/// # Errors
/// Out of device memory.
pub fn layer_scale(
    engine: &Engine,
    shape: &layout::LayerScale,
    memory: [Range; 3],
    residual: Option<Range>,
) -> Result<Dispatch, Error> {
    let streams = if residual.is_some() { 3 } else { 2 };
    let kernel = LAYER_SCALE.variant(Flag::Residual.when(residual.is_some()))?;
    let memory = memory.into_iter().chain(residual).map(Into::into).collect();
    let quads = u64::from(shape.rows) * u64::from(shape.quads);
    Draft::of_elements(engine, kernel, memory, quads, 16 * streams * quads).dispatch(engine, 3, shape)
}

/// The gradient of the scale, added to what is there with `accumulate`. Memory: dy, x, dscale.
///
/// # Errors
/// Out of device memory.
pub fn layer_scale_backward(
    engine: &Engine,
    shape: &layout::LayerScale,
    memory: [Range; 3],
    accumulate: bool,
) -> Result<Dispatch, Error> {
    let [workgroup, lanes] = engine.sizes().columns;
    let draft = Draft {
        kernel: LAYER_SCALE_BACKWARD.plain(),
        memory: memory.into_iter().map(Into::into).collect(),
        constants: vec![self::lanes(lanes), switch("ACCUMULATE", accumulate)],
        invocations: u64::from(shape.quads) * u64::from(lanes),
        workgroup,
        bytes: 32 * u64::from(shape.rows) * u64::from(shape.quads),
        flops: 0,
    };
    draft.dispatch(engine, 3, shape)
}

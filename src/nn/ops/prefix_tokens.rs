//! The embeddings of a vision transformer: learnt tokens in front of the patches of each picture, and positions.

use super::{Activation, Draft, Operate, Uses, or_aside, quads, switch};
use crate::engine::kernels::{PREFIX_TOKENS, PREFIX_TOKENS_BACKWARD_INPUT, PREFIX_TOKENS_BACKWARD_TABLES};
use crate::engine::{Dispatch, Engine, Range, counted, layout};
use crate::nn::Error;
use crate::nn::graph::{Backward, Form, Graph, Nodes, Placing, Sample, Value};

/// y = (tokens, x) + positions, picture by picture.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct PrefixTokens {
    first: String,
    second: Option<String>,
    positions: String,
    x: Value,
    y: Value,
}

/// The gradient of the patches.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct PrefixTokensBackwardInput {
    tokens: usize,
    dy: Value,
    dx: Value,
}

/// The gradients of both tokens and of the positions.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct PrefixTokensBackwardTables {
    tokens: usize,
    parameters: [Option<String>; 3],
    dy: Value,
    adds: bool,
}

impl Graph {
    /// The rows of x with a learnt token in front of each example's, and a `second` one behind it if there is any; then a
    /// position is added to every row. Tokens are parameters of `[1, 1, width]`, positions are one of `[1, rows, width]`.
    pub fn prefix_tokens(&mut self, x: Value, first: &str, second: Option<&str>, positions: &str) -> Value {
        let form = self.form(x);
        let rows = 1 + usize::from(second.is_some()) + form.rows();
        let y = self.nodes.shared("embedded", Form::Rows { per_example: rows, width: form.width() });
        let (first, second, positions) = (first.to_owned(), second.map(str::to_owned), positions.to_owned());
        self.push(PrefixTokens { first, second, positions, x, y });
        y
    }
}

impl PrefixTokens {
    fn tokens(&self) -> usize {
        1 + usize::from(self.second.is_some())
    }
}

/// Sizes of the embeddings: so many tokens among these rows.
fn shape<E: From<Error>>(at: &Placing<'_, E>, y: Value, tokens: usize) -> layout::PrefixTokens {
    let width = at.width(y);
    layout::PrefixTokens {
        batch: counted(at.examples()),
        tokens: counted(tokens),
        patches: counted(at.form(y).rows() - tokens),
        width: counted(width),
        quads: counted(quads(width)),
        ..layout::PrefixTokens::default()
    }
}

impl Operate for PrefixTokens {
    fn uses(&self) -> Uses {
        Uses::new([self.x], [self.y])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.x, &mut self.y].into_iter().for_each(see);
    }

    fn params(&self) -> Vec<&str> {
        [Some(&self.first), self.second.as_ref(), Some(&self.positions)]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect()
    }

    fn shapes(&self, nodes: &Nodes) -> Vec<Vec<usize>> {
        let form = nodes[self.y].form;
        let mut shapes = vec![vec![1, 1, form.width()]; self.tokens()];
        shapes.push(vec![1, form.rows(), form.width()]);
        shapes
    }

    fn backward(&self, back: &mut Backward<'_>) {
        let Some(dy) = back.of(self.y) else { return };
        let tokens = self.tokens();
        for (parameters, adds) in back.trained([Some(&self.first), self.second.as_deref(), Some(&self.positions)]) {
            back.push(PrefixTokensBackwardTables { tokens, parameters, dy, adds });
        }
        if back.needs(self.x) {
            back.write(self.x, |dx| PrefixTokensBackwardInput { tokens, dy, dx });
        }
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let second = self.second.as_ref().map(|second| at.vector(second)).transpose()?;
        let [x, y] = at.ranges([self.x, self.y])?;
        let memory = [x, at.vector(&self.first)?, at.vector(&self.positions)?, y];
        Ok(Some(prefix_tokens(at.engine(), &shape(at, self.y, self.tokens()), memory, second)?))
    }
}

impl Operate for PrefixTokensBackwardInput {
    fn uses(&self) -> Uses {
        Uses::new([self.dy], [self.dx])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.dy, &mut self.dx].into_iter().for_each(see);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let memory = at.ranges([self.dy, self.dx])?;
        Ok(Some(prefix_tokens_backward_input(at.engine(), &shape(at, self.dy, self.tokens), memory)?))
    }
}

impl Operate for PrefixTokensBackwardTables {
    fn uses(&self) -> Uses {
        Uses::reading([self.dy])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        see(&mut self.dy);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let (shape, dy, gradients) =
            (shape(at, self.dy, self.tokens), at.range(self.dy)?, at.gradients(&self.parameters)?);
        let accumulate = at.accumulates(self.adds);
        Ok(Some(prefix_tokens_backward_tables(at.engine(), &shape, dy, gradients, accumulate)?))
    }
}

/// One token and two, rows of vec4s and others, batches of one and of many; some of the parameters frozen.
pub(super) fn samples() -> Vec<Sample> {
    let embedded = |[examples, patches]: [usize; 2], width: usize, second: Option<&str>| {
        let network = |graph: &mut Graph| {
            let x = graph.rows("rows", patches, 6);
            let x = graph.linear("patches", x, width);
            let x = graph.prefix_tokens(x, "first", second, "positions");
            let x = graph.activate("embedded", Activation::Tanh, x);
            graph.classified(x, 5)
        };
        let tokens = 1 + usize::from(second.is_some());
        let name = format!("{tokens} tokens in front of {patches} patches, {examples} pictures of {width}");
        Sample::of(name, [examples, patches], network)
    };
    vec![
        embedded([5, 7], 12, None),
        embedded([3, 4], 10, Some("second")),
        embedded([130, 1], 5, Some("second")),
        embedded([1, 50], 36, None).training(|name| name == "first"),
        embedded([2, 9], 8, Some("second")).training(|name| name == "second"),
        embedded([4, 6], 7, None).training(|name| name == "positions" || name == "patches.bias"),
    ]
}

/// y = (tokens, x) + positions, picture by picture. Memory: x, the first token, positions, y; the `second` token if the sizes
/// have two.
///
/// # Errors
/// Out of device memory.
pub fn prefix_tokens(
    engine: &Engine,
    shape: &layout::PrefixTokens,
    [x, first, positions, y]: [Range; 4],
    second: Option<Range>,
) -> Result<Dispatch, Error> {
    let second = second.unwrap_or_else(|| first.clone());
    let memory = [x, first, second, positions, y].into_iter().map(Into::into).collect();
    let quads = u64::from(shape.batch) * u64::from(shape.tokens + shape.patches) * u64::from(shape.quads);
    Draft::of_elements(engine, PREFIX_TOKENS.plain(), memory, quads, 32 * quads).dispatch(engine, 5, shape)
}

/// The same, backward to x. Memory: dy, dx.
///
/// # Errors
/// Out of device memory.
pub fn prefix_tokens_backward_input(
    engine: &Engine,
    shape: &layout::PrefixTokens,
    memory: [Range; 2],
) -> Result<Dispatch, Error> {
    let memory = memory.into_iter().map(Into::into).collect();
    let quads = u64::from(shape.batch) * u64::from(shape.patches) * u64::from(shape.quads);
    Draft::of_elements(engine, PREFIX_TOKENS_BACKWARD_INPUT.plain(), memory, quads, 32 * quads)
        .dispatch(engine, 2, shape)
}

/// The gradients of the first token, of the second one and of the positions, added to what is there with `accumulate`; `None`
/// for what is frozen or not there.
///
/// # Errors
/// Out of device memory.
pub fn prefix_tokens_backward_tables(
    engine: &Engine,
    shape: &layout::PrefixTokens,
    dy: Range,
    gradients: [Option<Range>; 3],
    accumulate: bool,
) -> Result<Dispatch, Error> {
    // Rows of the tokens are the first ones.
    let rows = if gradients[2].is_some() { shape.tokens + shape.patches } else { shape.tokens };
    let quads = u64::from(rows) * u64::from(shape.quads);
    let mut constants = vec![switch("ACCUMULATE", accumulate)];
    let mut memory = vec![dy.into()];
    for (name, gradient) in ["FIRST", "SECOND", "POSITIONS"].into_iter().zip(gradients) {
        constants.push(switch(name, gradient.is_some()));
        memory.push(or_aside(engine, gradient)?.into());
    }
    let bytes = 16 * quads * (u64::from(shape.batch) + 1);
    let mut draft = Draft::of_elements(engine, PREFIX_TOKENS_BACKWARD_TABLES.plain(), memory, quads, bytes);
    draft.constants.extend(constants);
    draft.dispatch(engine, 4, shape)
}

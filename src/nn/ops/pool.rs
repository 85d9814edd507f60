//! Pooling over the tokens of a sequence, or over the pixels of a picture.

use super::{Draft, Operate, Uses, quads, switch};
use crate::engine::kernels::{Family, MEAN_POOL, MEAN_POOL_BACKWARD};
use crate::engine::layout::Pool;
use crate::engine::{Dispatch, Engine, Range, counted};
use crate::nn::Error;
use crate::nn::graph::{Backward, Form, Graph, Placing, Sample, Value};

/// Which of the tokens that a mask leaves are pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tokens {
    /// The mean over all of them.
    All,
    /// The last one as it is.
    Last,
}

/// A row for each example, of the tokens that the mask leaves.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct MeanPool {
    x: Value,
    mask: Value,
    y: Value,
    of: Tokens,
}

/// The same, backward.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct MeanPoolBackward {
    dy: Value,
    mask: Value,
    dx: Value,
    of: Tokens,
}

impl Graph {
    /// The mean over the tokens of each example that the mask leaves.
    pub fn mean_pool(&mut self, x: Value, mask: Value) -> Value {
        self.pool(x, mask, Tokens::All)
    }

    /// The last token of each example that the mask leaves; 0 if it leaves none.
    pub fn last_token(&mut self, x: Value, mask: Value) -> Value {
        self.pool(x, mask, Tokens::Last)
    }

    fn pool(&mut self, x: Value, mask: Value, of: Tokens) -> Value {
        let form = Form::Rows { per_example: 1, width: self.form(x).width() };
        let y = self.nodes.shared("pooled", form);
        self.push(MeanPool { x, mask, y, of });
        y
    }

    /// The first token of each example.
    pub fn first_token(&mut self, x: Value) -> Value {
        let (batch, context) = (counted(self.examples), counted(self.form(x).rows()));
        let mask = first_tokens(&Pool { batch, context, ..Pool::default() });
        let mask = self.nodes.constant("first tokens", mask);
        self.mean_pool(x, mask)
    }

    /// The mean over all rows of each example: over the pixels of a picture.
    pub fn global_pool(&mut self, x: Value) -> Value {
        self.mean_pool_after(x, 0)
    }

    /// The mean over the rows of each example behind so many first ones: over the patches behind the tokens in front of them.
    pub fn mean_pool_after(&mut self, x: Value, first: usize) -> Value {
        let mask = self.rows_after(x, first);
        self.mean_pool(x, mask)
    }

    /// A mask that leaves the rows of each example behind so many first ones.
    pub fn rows_after(&mut self, x: Value, first: usize) -> Value {
        let (all, rows) = (self.examples * self.form(x).rows(), self.form(x).rows());
        let mask: Vec<u32> = (0..all).map(|row| u32::from(row % rows >= first)).collect();
        self.nodes.constant(if first == 0 { "all rows" } else { "later rows" }, mask)
    }
}

impl Operate for MeanPool {
    fn uses(&self) -> Uses {
        Uses::new([self.x, self.mask], [self.y])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.x, &mut self.mask, &mut self.y].into_iter().for_each(see);
    }

    fn backward(&self, back: &mut Backward<'_>) {
        let Some(dy) = back.of(self.y).filter(|_| back.needs(self.x)) else { return };
        back.write(self.x, |dx| MeanPoolBackward { dy, mask: self.mask, dx, of: self.of });
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let memory = at.ranges([self.x, self.mask, self.y])?;
        Ok(Some(mean_pool(at.engine(), &shape(at, self.x), self.of, memory)?))
    }
}

impl Operate for MeanPoolBackward {
    fn uses(&self) -> Uses {
        Uses::new([self.dy, self.mask], [self.dx])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.dy, &mut self.mask, &mut self.dx].into_iter().for_each(see);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let memory = at.ranges([self.dy, self.mask, self.dx])?;
        Ok(Some(mean_pool_backward(at.engine(), &shape(at, self.dx), self.of, memory)?))
    }
}

/// Sizes of what is pooled.
fn shape<E: From<Error>>(at: &Placing<'_, E>, x: Value) -> Pool {
    let (batch, context) = (counted(at.examples()), counted(at.form(x).rows()));
    Pool { batch, context, quads: counted(quads(at.width(x))), ..Pool::default() }
}

/// The mean, the first and the last token of sequences with padding; the mean over all rows, and over all but the first.
pub(super) fn samples() -> Vec<Sample> {
    let pools = |[examples, context]: [usize; 2], width: usize| {
        let network = |graph: &mut Graph| {
            let (x, mask) = (graph.rows("rows", context, 6), graph.words("mask", context));
            let x = graph.linear("first", x, width);
            let (mean, first) = (graph.mean_pool(x, mask), graph.first_token(x));
            let last = graph.last_token(x, mask);
            let sum = graph.add(mean, first);
            let sum = graph.add(sum, last);
            let (all, later) = (graph.global_pool(x), graph.mean_pool_after(x, 2));
            let all = graph.add(all, later);
            let sum = graph.add(sum, all);
            graph.classified(sum, 5)
        };
        Sample::of(format!("pools, {examples} of {context} tokens of {width}"), [examples, context], network)
    };
    vec![pools([5, 13], 10), pools([2, 64], 36)]
}

/// The mean over the tokens that a mask leaves, or the last of them. Memory: x, mask, y. With [`first_tokens`] for a mask: the
/// first token.
///
/// # Errors
/// Out of device memory.
pub fn mean_pool(engine: &Engine, shape: &Pool, of: Tokens, memory: [Range; 3]) -> Result<Dispatch, Error> {
    operation(engine, &MEAN_POOL, (shape, of), memory)
}

/// The same, backward. Memory: dy, mask, dx.
///
/// # Errors
/// Out of device memory.
pub fn mean_pool_backward(engine: &Engine, shape: &Pool, of: Tokens, memory: [Range; 3]) -> Result<Dispatch, Error> {
    operation(engine, &MEAN_POOL_BACKWARD, (shape, of), memory)
}

/// A mask that leaves only the first token of each sequence, for the pooler of BERT.
pub fn first_tokens(shape: &Pool) -> Vec<u32> {
    (0..shape.batch * shape.context).map(|r| u32::from(r % shape.context == 0)).collect()
}

fn operation(
    engine: &Engine,
    family: &'static Family,
    (shape, of): (&Pool, Tokens),
    memory: [Range; 3],
) -> Result<Dispatch, Error> {
    let memory = memory.into_iter().map(Into::into).collect();
    let pooled = u64::from(shape.batch) * u64::from(shape.quads);
    let bytes = 16 * pooled * (u64::from(shape.context) + 1);
    let mut operation = Draft::of_elements(engine, family.plain(), memory, pooled, bytes);
    if of == Tokens::Last {
        operation.constants.push(switch("LAST", true));
    }
    operation.dispatch(engine, 3, shape)
}

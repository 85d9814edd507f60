//! Dropout, of elements and of examples.

use super::{Draft, Operate, Uses, quads};
use crate::engine::kernels::{DROPOUT, Flag};
use crate::engine::{Dispatch, Engine, Range, layout};
use crate::nn::Error;
use crate::nn::graph::{Backward, Form, Graph, Placing, Sample, Value};

/// y = dropout(x), and what else is added. Stochastic depth drops all of an example `together`. `stream` tells one dropout of a model from another. Its own backward pass.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Dropout {
    pub(in crate::nn) x: Value,
    pub(in crate::nn) y: Value,
    pub(in crate::nn) residual: Option<Value>,
    position: Value,
    rate: f32,
    stream: u32,
    together: bool,
}

impl Graph {
    /// Zeroes a share of x and scales the rest, only in training. The model gives each of its dropouts its own
    /// `stream`.
    pub fn dropout(&mut self, x: Value, rate: f32, stream: u32) -> Value {
        if self.is_still(x) {
            return x;
        }
        self.dropout_on_top(x, rate, stream)
    }

    /// The same in the head, where it always drops.
    pub fn dropout_on_top(&mut self, x: Value, rate: f32, stream: u32) -> Value {
        if !self.trains || rate == 0.0 {
            return x;
        }
        self.dropped(x, rate, stream, false)
    }

    /// Stochastic depth: leaves x of a share of the examples out and scales that of the others, only in training. x is what a block
    /// adds to what it reads.
    pub fn stochastic_depth(&mut self, x: Value, rate: f32, stream: u32) -> Value {
        if !self.trains || rate == 0.0 || self.is_still(x) {
            return x;
        }
        self.dropped(x, rate, stream, true)
    }

    fn dropped(&mut self, x: Value, rate: f32, stream: u32, together: bool) -> Value {
        let (form, position) = (self.form(x), self.position());
        let y = self.nodes.shared(format!("dropout.{stream}"), form);
        self.push(Dropout { x, y, residual: None, position, rate, stream, together });
        y
    }

    /// The batch's place.
    pub(super) fn position(&mut self) -> Value {
        self.input("position", Form::Fixed { bytes: size_of::<layout::Position>() as u64 })
    }
}

impl Operate for Dropout {
    fn uses(&self) -> Uses {
        let reads = [Some(self.x), self.residual, Some(self.position)];
        Uses::new(reads, [self.y])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.x, &mut self.y, &mut self.position].into_iter().chain(&mut self.residual).for_each(see);
    }

    fn drops(&self) -> bool {
        true
    }

    fn backward(&self, back: &mut Backward<'_>) {
        let Some(dy) = back.of(self.y) else { return };
        if let Some(residual) = self.residual.filter(|residual| back.needs(*residual)) {
            back.pass(residual, dy);
        }
        if back.needs(self.x) {
            back.write(self.x, |dx| Dropout { x: dy, y: dx, residual: None, ..self.clone() });
        }
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let size = at.rows(self.x) * quads(at.width(self.x));
        let shape = layout::Dropout::new(at.loss.seed, self.stream, f64::from(self.rate), size);
        let shape = if self.together { shape.together(size / at.examples()) } else { shape };
        let memory = at.ranges([self.x, self.y, self.position])?;
        let residual = self.residual.map(|residual| at.range(residual)).transpose()?;
        Ok(Some(dropout(at.engine(), &shape, memory, residual)?))
    }
}

/// With a residual and without.
pub(super) fn samples() -> Vec<Sample> {
    let network = |graph: &mut Graph| {
        let x = graph.rows("rows", 9, 21);
        let x = graph.linear("first", x, 21);
        let one = graph.dropout(x, 0.1, 0);
        let two = graph.dropout(x, 0.5, 1);
        let two = graph.add(two, x);
        let three = graph.stochastic_depth(x, 0.4, 2);
        let three = graph.add(three, two);
        let sum = graph.add(one, three);
        graph.classified(sum, 5)
    };
    vec![Sample::of("dropout of 63 rows of 21", [7, 9], network)]
}

/// Drops and scales; backward is the same with gradients. With a residual, adds it: y = residual + dropout(x). Memory: x,
/// y, position.
///
/// # Errors
/// Out of device memory.
pub fn dropout(
    engine: &Engine,
    shape: &layout::Dropout,
    [x, y, position]: [Range; 3],
    residual: Option<Range>,
) -> Result<Dispatch, Error> {
    let streams = if residual.is_some() { 3 } else { 2 };
    let kernel = DROPOUT.variant(Flag::Residual.when(residual.is_some()))?;
    let memory = [x, y, position].into_iter().chain(residual).map(Into::into).collect();
    let quads = u64::from(shape.quads);
    Draft::of_elements(engine, kernel, memory, quads, 16 * streams * quads).dispatch(engine, 3, shape)
}

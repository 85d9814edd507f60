//! Two values side by side.

use super::{Draft, Operate, Uses, quads, switch};
use crate::engine::kernels::{JOIN, JOIN_BACKWARD};
use crate::engine::{Dispatch, Engine, Range, counted, layout};
use crate::nn::Error;
use crate::nn::graph::{Backward, Form, Graph, Placing, Sample, Value};

/// y = (a, b), row by row.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Join {
    a: Value,
    b: Value,
    y: Value,
}

/// One side's part of the gradient.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct JoinBackward {
    dy: Value,
    dx: Value,
    /// Of both sides.
    widths: [usize; 2],
    is_right: bool,
}

impl Graph {
    /// The rows of two values side by side. The left one's are whole vec4s: their width is a multiple of 4.
    pub fn join(&mut self, a: Value, b: Value) -> Value {
        let (left, right) = (self.form(a), self.form(b));
        let form = Form::Rows { per_example: left.rows(), width: left.width() + right.width() };
        let y = self.nodes.shared(format!("{}.joined", self.nodes[a].label), form);
        self.push(Join { a, b, y });
        y
    }
}

impl Operate for Join {
    fn uses(&self) -> Uses {
        Uses::new([self.a, self.b], [self.y])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.a, &mut self.b, &mut self.y].into_iter().for_each(see);
    }

    fn backward(&self, back: &mut Backward<'_>) {
        let Some(dy) = back.of(self.y) else { return };
        let widths = [self.a, self.b].map(|side| back.form(side).width());
        for (side, is_right) in [(self.a, false), (self.b, true)] {
            if back.needs(side) {
                back.write(side, |dx| JoinBackward { dy, dx, widths, is_right });
            }
        }
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let shape = shape([at.width(self.a), at.width(self.b)], at.rows(self.y))?;
        Ok(Some(join(at.engine(), &shape, at.ranges([self.a, self.b, self.y])?)?))
    }
}

impl Operate for JoinBackward {
    fn uses(&self) -> Uses {
        Uses::new([self.dy], [self.dx])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.dy, &mut self.dx].into_iter().for_each(see);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let shape = shape(self.widths, at.rows(self.dy))?;
        Ok(Some(join_backward(at.engine(), &shape, at.ranges([self.dy, self.dx])?, self.is_right)?))
    }
}

fn shape([left, right]: [usize; 2], rows: usize) -> Result<layout::Join, Error> {
    if !left.is_multiple_of(4) {
        let (setting, value, allowed) = ("left of a join", left as f64, "a width that is a multiple of 4");
        return Err(Error::BadConfig { setting, value, allowed });
    }
    let [left, right] = [left, right].map(|width| counted(quads(width)));
    Ok(layout::Join { rows: counted(rows), left, right, ..layout::Join::default() })
}

/// A layer joined to an input, and to another layer.
pub(super) fn samples() -> Vec<Sample> {
    let joins = |examples: usize, [left, right]: [usize; 2], is_given: bool| {
        let network = |graph: &mut Graph| {
            let x = graph.rows("rows", 1, 3);
            let a = graph.linear("left", x, left);
            let b = if is_given { graph.rows("features", 1, right) } else { graph.linear("right", x, right) };
            let both = graph.join(a, b);
            graph.classified(both, 5)
        };
        let what = if is_given { "given" } else { "made" };
        Sample::of(format!("a join, {examples} rows of {left} and {right} {what}"), [examples, 1], network)
    };
    vec![joins(5, [4, 3], true), joins(70, [12, 1], false), joins(3, [384, 9], true)]
}

/// Two values side by side. Memory: a, b, y.
///
/// # Errors
/// Out of device memory.
pub fn join(engine: &Engine, shape: &layout::Join, memory: [Range; 3]) -> Result<Dispatch, Error> {
    let quads = u64::from(shape.rows) * u64::from(shape.left + shape.right);
    let memory = memory.into_iter().map(Into::into).collect();
    Draft::of_elements(engine, JOIN.plain(), memory, quads, 32 * quads).dispatch(engine, 3, shape)
}

/// The same, backward to the left value or to the right one. Memory: dy, dx.
///
/// # Errors
/// Out of device memory.
pub fn join_backward(
    engine: &Engine,
    shape: &layout::Join,
    memory: [Range; 2],
    is_right: bool,
) -> Result<Dispatch, Error> {
    let quads = u64::from(shape.rows) * u64::from(if is_right { shape.right } else { shape.left });
    let memory = memory.into_iter().map(Into::into).collect();
    let mut operation = Draft::of_elements(engine, JOIN_BACKWARD.plain(), memory, quads, 32 * quads);
    operation.constants.push(switch("RIGHT", is_right));
    operation.dispatch(engine, 2, shape)
}

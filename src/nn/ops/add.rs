//! The sum of two values.

use super::{Draft, Operate, Uses};
use crate::engine::kernels::ADD;
use crate::engine::layout::Elements;
use crate::engine::{Dispatch, Engine, Range};
use crate::nn::Error;
use crate::nn::graph::{Backward, Graph, Placing, Value};

/// y = x + residual.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Add {
    pub(in crate::nn) x: Value,
    pub(in crate::nn) residual: Value,
    pub(in crate::nn) y: Value,
}

impl Graph {
    /// x + residual.
    pub fn add(&mut self, x: Value, residual: Value) -> Value {
        let (label, form) = (format!("{}.sum", self.nodes[x].label), self.form(x));
        let y = self.nodes.shared(label, form);
        self.push(Add { x, residual, y });
        y
    }
}

impl Operate for Add {
    fn uses(&self) -> Uses {
        Uses::new([self.x, self.residual], [self.y])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.x, &mut self.residual, &mut self.y].into_iter().for_each(see);
    }

    /// Both sides have the gradient of the sum.
    fn backward(&self, back: &mut Backward<'_>) {
        let Some(dy) = back.of(self.y) else { return };
        for side in [self.x, self.residual] {
            if back.needs(side) {
                back.pass(side, dy);
            }
        }
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let memory = at.ranges([self.x, self.residual, self.y])?;
        Ok(Some(add(at.engine(), &at.elements(self.y), memory)?))
    }
}

/// y = x + residual, vec4 by vec4. Memory: x, residual, y.
///
/// # Errors
/// Out of device memory.
pub fn add(engine: &Engine, shape: &Elements, memory: [Range; 3]) -> Result<Dispatch, Error> {
    let (memory, quads) = (memory.into_iter().map(Into::into).collect(), u64::from(shape.quads));
    Draft::of_elements(engine, ADD.plain(), memory, quads, 48 * quads).dispatch(engine, 3, shape)
}

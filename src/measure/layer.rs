//! A linear layer with memory of its own, to be timed.

use super::step::noise;
use crate::Error;
use crate::engine::layout::Linear;
use crate::engine::{Dispatch, Engine, Prepared, Program, Range};
use crate::nn::ops::{After, linear, linear_backward_input, linear_backward_weight};

/// The passes over a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Forward,
    ToInput,
    ToWeight,
}

impl Pass {
    pub(super) const ALL: [Pass; 3] = [Pass::Forward, Pass::ToInput, Pass::ToWeight];

    /// The kernel's name.
    pub(super) fn kernel(self) -> &'static str {
        match self {
            Pass::Forward => "linear",
            Pass::ToInput => "linear_backward_input",
            Pass::ToWeight => "linear_backward_weight",
        }
    }
}

/// What the passes read, and where they write.
pub(super) struct Layer {
    sizes: Linear,
    x: Range,
    z: Range,
    weight: Range,
    results: [Range; 3],
}

impl Layer {
    /// A layer of these rows, inputs and outputs, full of noise.
    pub(super) fn new(engine: &Engine, [rows, inputs, outputs]: [usize; 3]) -> Result<Layer, Error> {
        let sizes = Linear::new(rows, inputs, outputs);
        let (x, z) = (sizes.input(rows, 0), sizes.output(rows, 0));
        let given = |label: &str, width: usize, numbers: usize| -> Result<Range, Error> {
            let mut values = noise(numbers, 0.5, 7);
            // Zero behind the last column, as activations are.
            let stride = width.next_multiple_of(4);
            values.iter_mut().enumerate().filter(|(at, _)| at % stride >= width).for_each(|(_, value)| *value = 0.0);
            Ok(engine.buffer_with(label, &values)?.all())
        };
        let room = |label: &str, numbers: usize| -> Result<Range, Error> {
            Ok(engine.buffer(label, 4 * numbers as u64)?.all())
        };
        Ok(Layer {
            sizes,
            x: given("x", inputs, x)?,
            z: given("z", outputs, z)?,
            weight: engine.buffer_with("weight", &noise(inputs * outputs, 0.5, 9))?.all(),
            results: [room("y", z)?, room("dx", x)?, room("dweight", inputs * outputs)?],
        })
    }

    /// Where a pass writes.
    pub(super) fn result(&self, pass: Pass) -> &Range {
        &self.results[pass as usize]
    }

    /// A pass so many times over, as the engine's choices have it.
    pub(super) fn prepare(&self, engine: &Engine, pass: Pass, times: usize) -> Result<Prepared, Error> {
        let (label, dispatches) = (pass.kernel().to_owned(), vec![self.dispatch(engine, pass)?; times]);
        Ok(engine.prepare(Program { label, dispatches })?)
    }

    fn dispatch(&self, engine: &Engine, pass: Pass) -> Result<Dispatch, Error> {
        let Layer { sizes, x, z, weight, .. } = self;
        let [x, z, weight, result] = [x, z, weight, self.result(pass)].map(Range::clone);
        Ok(match pass {
            Pass::Forward => linear(engine, sizes, [x, weight, result], None, After::Nothing)?,
            Pass::ToInput => linear_backward_input(engine, sizes, [z, weight, result], None, false)?,
            Pass::ToWeight => linear_backward_weight(engine, sizes, [z, x], [Some(result), None], false)?,
        })
    }
}

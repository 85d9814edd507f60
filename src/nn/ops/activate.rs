//! Activations for themselves, if none is folded into a linear layer.

use super::{Draft, Operate, Uses, switch};
use crate::engine::kernels::{ACTIVATE, ACTIVATE_BACKWARD};
use crate::engine::layout::Elements;
use crate::engine::{Dispatch, Engine, Range};
use crate::nn::Error;
use crate::nn::graph::{Backward, Graph, Placing, Sample, Value};

/// An activation between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// max(z, 0).
    Relu,
    /// z Φ(z), the erf form (Hendrycks & Gimpel 2016).
    Gelu,
    /// z (1 + tanh u) / 2, as in GPT-2.
    GeluNew,
    /// tanh z.
    Tanh,
    /// max(z, 0), and 6 at most.
    Relu6,
    /// z / (1 + exp(−z)).
    Silu,
}

impl Activation {
    /// Every one.
    pub const ALL: [Activation; 6] = [
        Activation::Relu,
        Activation::Gelu,
        Activation::GeluNew,
        Activation::Tanh,
        Activation::Relu6,
        Activation::Silu,
    ];

    /// Reads `relu`, `gelu`, `gelu_new`, `tanh`, `relu6` or `silu`, the names that Hugging Face configs use.
    ///
    /// # Errors
    /// [`Error::UnknownActivation`].
    pub fn parse(name: &str) -> Result<Activation, Error> {
        match name {
            "relu" => Ok(Activation::Relu),
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" => Ok(Activation::GeluNew),
            "tanh" => Ok(Activation::Tanh),
            "relu6" => Ok(Activation::Relu6),
            "silu" => Ok(Activation::Silu),
            _ => Err(Error::UnknownActivation { name: name.to_owned() }),
        }
    }

    pub(super) fn number(self) -> f64 {
        match self {
            Activation::Relu => 1.0,
            Activation::Gelu => 2.0,
            Activation::GeluNew => 3.0,
            Activation::Tanh => 4.0,
            Activation::Relu6 => 5.0,
            Activation::Silu => 6.0,
        }
    }
}

/// h = activation(z).
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct Activate {
    pub(in crate::nn) activation: Activation,
    pub(in crate::nn) z: Value,
    pub(in crate::nn) h: Value,
}

/// dz = activation′(z) ∘ dh, added to the existing value if it `adds`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct ActivateBackward {
    pub(in crate::nn) activation: Activation,
    pub(in crate::nn) z: Value,
    pub(in crate::nn) dh: Value,
    pub(in crate::nn) dz: Value,
    pub(in crate::nn) adds: bool,
}

impl Graph {
    /// activation(z); `module` names what it belongs to.
    pub fn activate(&mut self, module: &str, activation: Activation, z: Value) -> Value {
        let form = self.form(z);
        let h = self.nodes.shared(format!("{module}.h"), form);
        self.push(Activate { activation, z, h });
        h
    }
}

impl Operate for Activate {
    fn uses(&self) -> Uses {
        Uses::new([self.z], [self.h])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.z, &mut self.h].into_iter().for_each(see);
    }

    fn backward(&self, back: &mut Backward<'_>) {
        let Some(dh) = back.of(self.h).filter(|_| back.needs(self.z)) else { return };
        let (activation, z) = (self.activation, self.z);
        back.add(z, |dz, adds| ActivateBackward { activation, z, dh, dz, adds });
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let memory = at.ranges([self.z, self.h])?;
        Ok(Some(activate(at.engine(), &at.elements(self.z), self.activation, memory)?))
    }
}

impl Operate for ActivateBackward {
    fn uses(&self) -> Uses {
        Uses::new([self.dh, self.z], [self.dz]).adding(self.adds)
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.z, &mut self.dh, &mut self.dz].into_iter().for_each(see);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let memory = at.ranges([self.z, self.dh, self.dz])?;
        Ok(Some(activate_backward(at.engine(), &at.elements(self.z), self.activation, memory, self.adds)?))
    }
}

/// Activations that no layer absorbs, and sums of values with several readers.
pub(super) fn samples() -> Vec<Sample> {
    let network = |graph: &mut Graph| {
        let x = graph.rows("rows", 3, 10);
        let x = graph.linear("first", x, 10);
        let sum = Activation::ALL.into_iter().fold(x, |sum, activation| {
            let h = graph.activate("apart", activation, x);
            graph.add(sum, h)
        });
        graph.classified(sum, 5)
    };
    vec![Sample::of("activations for themselves, 69 rows of 10", [23, 3], network)]
}

/// h = activation(z), vec4 by vec4. Memory: z, h.
///
/// # Errors
/// Out of device memory.
pub fn activate(
    engine: &Engine,
    shape: &Elements,
    activation: Activation,
    memory: [Range; 2],
) -> Result<Dispatch, Error> {
    let (memory, quads) = (memory.into_iter().map(Into::into).collect(), u64::from(shape.quads));
    let mut draft = Draft::of_elements(engine, ACTIVATE.plain(), memory, quads, 32 * quads);
    draft.constants.push(("ACTIVATION", activation.number()));
    draft.dispatch(engine, 2, shape)
}

/// dz = activation′(z) ∘ dh, added to the existing values with `accumulate`. Memory: z, dh, dz.
///
/// # Errors
/// Out of device memory.
pub fn activate_backward(
    engine: &Engine,
    shape: &Elements,
    activation: Activation,
    memory: [Range; 3],
    accumulate: bool,
) -> Result<Dispatch, Error> {
    let (memory, quads) = (memory.into_iter().map(Into::into).collect(), u64::from(shape.quads));
    let mut draft = Draft::of_elements(engine, ACTIVATE_BACKWARD.plain(), memory, quads, 48 * quads);
    draft.constants.extend([("ACTIVATION", activation.number()), switch("ACCUMULATE", accumulate)]);
    draft.dispatch(engine, 3, shape)
}

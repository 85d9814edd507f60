//! The multi-layer perceptron: linear layers with an activation between them.

use super::{Network, pair};
use crate::nn::graph::{Graph, Value};
use crate::nn::{Activation, Error, init};
use crate::params::Param;

/// An MLP by its sizes. Parameters are `layers.0.weight` (outputs by inputs), `layers.0.bias` (outputs), `layers.1.weight`, …
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Mlp {
    /// Inputs, hidden layers, classes.
    pub sizes: Vec<usize>,
    /// The activation between layers.
    pub activation: Activation,
}

impl Mlp {
    /// An MLP of these sizes: inputs, hidden layers, classes.
    ///
    /// # Errors
    /// [`Error::BadSizes`] for fewer than two sizes, or a size of 0.
    pub fn new(sizes: &[usize], activation: Activation) -> Result<Mlp, Error> {
        let model = Mlp { sizes: sizes.to_vec(), activation };
        model.check()?;
        Ok(model)
    }

    /// Inputs of the first layer.
    pub fn inputs(&self) -> usize {
        self.sizes[0]
    }

    /// Outputs of the last layer.
    pub fn classes(&self) -> usize {
        self.sizes[self.layers()]
    }

    /// Linear layers.
    pub fn layers(&self) -> usize {
        self.sizes.len() - 1
    }
}

impl Network for Mlp {
    fn check(&self) -> Result<(), Error> {
        let reason = match &self.sizes[..] {
            [] | [_] => "it needs at least inputs and classes",
            sizes if sizes.contains(&0) => "a layer of size 0 has nothing to learn",
            sizes if sizes.iter().any(|size| *size > 1 << 24) => "a layer may have at most 2^24 outputs",
            _ => return Ok(()),
        };
        Err(Error::BadSizes { sizes: self.sizes.clone(), reason })
    }

    fn params(&self) -> Vec<Param> {
        let mut params = Vec::new();
        for (layer, sides) in self.sizes.windows(2).enumerate() {
            pair(&mut params, &format!("layers.{layer}"), &[sides[1], sides[0]]);
        }
        params
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("activation", format!("{:?}", self.activation))]
    }

    /// Uniform in ±1/√inputs, as `torch.nn.Linear`.
    fn initial_of(&self, param: &Param, seed: u32, place: u32) -> Vec<f32> {
        let bound = 1.0 / (self.sizes[place as usize / 2] as f32).sqrt();
        init::uniform_within(bound, param.elements(), seed, place)
    }

    fn context(&self) -> usize {
        1
    }

    fn widest(&self) -> usize {
        self.sizes.iter().max().map_or(0, |widest| widest.next_multiple_of(4))
    }

    fn outputs(&self) -> usize {
        self.classes()
    }

    fn last_layer(&self) -> Vec<String> {
        vec![format!("layers.{}.", self.layers() - 1)]
    }

    fn forward(&self, graph: &mut Graph) -> Value {
        let mut x = graph.rows("rows", 1, self.inputs());
        for (layer, outputs) in self.sizes[1..].iter().enumerate() {
            let module = format!("layers.{layer}");
            x = graph.linear(&module, x, *outputs);
            if layer + 1 < self.layers() {
                x = graph.activate(&module, self.activation, x);
            }
        }
        x
    }
}

//! Model families, one a file: sizes, names of parameters, initial values, and the network.

mod bert;
mod efficientnet_lite;
mod efficientnet_names;
mod files;
mod folder;
mod gpt2;
mod head;
mod mlp;
mod positions;
mod pretrained;
mod pretrained_pictures;
mod resnet;
mod resnet_names;
mod sizes;
mod style;
mod vit;
mod vit_config;
mod vit_style;

pub use bert::Bert;
pub use efficientnet_lite::{EfficientNetLite, LiteStage};
pub use files::{Place, Places};
#[cfg(feature = "data")]
pub(crate) use files::{Turn, misfit, turned};
pub use folder::{FolderFile, FolderWords};
pub use gpt2::Gpt2;
pub use head::{Head, HeadNorm, Pooling};
pub use mlp::Mlp;
pub use positions::interpolated;
pub use pretrained::{Marks, Pretrained, PretrainedKind};
pub use pretrained_pictures::{PictureFamily, PretrainedPictures};
pub use resnet::ResNet;
pub use sizes::TransformerSizes;
pub use style::Style;
pub use vit::Vit;
pub use vit_style::VitStyle;

use super::graph::{Graph, Pass, Value};
use super::{Error, Objective};
use crate::engine::Engine;
use crate::params::Param;

/// A model by its sizes: its family's functions, and its passes.
pub trait Network {
    /// Checks the sizes.
    ///
    /// # Errors
    /// [`Error::BadConfig`] or [`Error::BadSizes`] with the setting, its value, and what it must be.
    fn check(&self) -> Result<(), Error>;

    /// Names and shapes of the parameters, in the order of the modules. Every weight is `[outputs, inputs]`.
    fn params(&self) -> Vec<Param>;

    /// Names and shapes of its buffers: state that is no parameter, such as running statistics.
    fn buffers(&self) -> Vec<Param> {
        Vec::new()
    }

    /// Parameters and buffers: what its files hold.
    fn tensors(&self) -> Vec<Param> {
        [self.params(), self.buffers()].concat()
    }

    /// Further names of parameters, each with the parameter's own: a tied output layer.
    fn tied(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// What a pass computes, apart from the shapes of its parameters: names and values.
    fn settings(&self) -> Vec<(&'static str, String)>;

    /// Initial values of a parameter, from a seed and its place among the parameters.
    fn initial_of(&self, param: &Param, seed: u32, place: u32) -> Vec<f32>;

    /// The most rows of an example: tokens of a sequence, or 1.
    fn context(&self) -> usize;

    /// Numbers in a row of the widest activation.
    fn widest(&self) -> usize;

    /// What its outputs mean, and so its loss.
    fn objective(&self) -> Objective {
        Objective::Classes
    }

    /// The sizes, of a transformer.
    fn sizes(&self) -> Option<&TransformerSizes> {
        None
    }

    /// Numbers of the vector of an example, which is `pooled` in its graph; `None` if it has none.
    fn vector_width(&self) -> Option<usize> {
        self.sizes().map(|sizes| sizes.hidden)
    }

    /// Token types that it reads, 0 for none.
    fn types(&self) -> usize {
        0
    }

    /// Outputs of a row: classes, labels, numbers, or tokens.
    fn outputs(&self) -> usize;

    /// What the names of the last layer begin with: its rows are the outputs, and belong to them.
    fn last_layer(&self) -> Vec<String>;

    /// What the names of the other layers on top of the trunk begin with.
    fn on_top(&self) -> Vec<String> {
        Vec::new()
    }

    /// Of a decoder: the same model with the logits of the last token only, and the name of a parameter there with its name
    /// here. The others have one name in both.
    fn next_token(&self) -> Option<(Model, (String, String))> {
        None
    }

    /// The network: from the batch to the logits.
    fn forward(&self, graph: &mut Graph) -> Value;

    /// Whether other programs' files hold this parameter as `[inputs, outputs]`, or with channels first.
    fn is_transposed(&self, _name: &str) -> bool {
        false
    }

    /// The name here of what another program calls so, apart from prefixes; `None` where it is the same.
    fn name_here(&self, _name: &str) -> Option<String> {
        None
    }

    /// Whether a tensor of this shape can be made into this parameter, which has another one.
    fn fits_other(&self, _name: &str, _shape: &[usize]) -> bool {
        false
    }

    /// The values of a parameter, made of those of a tensor of this shape; `None` if it cannot be.
    fn fitted(&self, _name: &str, _shape: &[usize], _values: &[f32]) -> Option<Vec<f32>> {
        None
    }

    /// What the names start with that files of this family hold and no model here has: the head of its pretraining.
    fn unused(&self) -> &'static [&'static str] {
        &[]
    }

    /// The name of a parameter in Hugging Face's class for this model, with the trunk's prefix: `bert.`
    fn name_in_class(&self, name: &str) -> String {
        name.to_owned()
    }

    /// Initial values of a buffer.
    fn initial_of_buffer(&self, buffer: &Param) -> Vec<f32> {
        let value = if buffer.name.ends_with(".running_var") { 1.0 } else { 0.0 };
        vec![value; buffer.elements()]
    }

    /// Initial values of each parameter, from a seed, and of each buffer.
    fn initial(&self, seed: u32) -> Vec<(String, Vec<f32>)> {
        let values = |(place, param): (u32, Param)| {
            let values = self.initial_of(&param, seed, place);
            (param.name, values)
        };
        let buffer = |buffer: Param| {
            let values = self.initial_of_buffer(&buffer);
            (buffer.name, values)
        };
        (0..).zip(self.params()).map(values).chain(self.buffers().into_iter().map(buffer)).collect()
    }

    /// The graph of a pass over so many examples of `context` rows each, with the loss on its logits; and the logits.
    ///
    /// # Errors
    /// [`Error::BadConfig`] for a context longer than the model's, sizes of 0, or more than kernels can count.
    fn graph(&self, examples: usize, context: usize, trains: bool) -> Result<(Graph, Value), Error> {
        self.written(Graph::new(examples, context, trains))
    }

    /// The same, written into this empty graph.
    ///
    /// # Errors
    /// As [`graph`](Network::graph).
    fn written(&self, mut graph: Graph) -> Result<(Graph, Value), Error> {
        self.check()?;
        check_batch(graph.examples, graph.context, [self.context(), self.widest()])?;
        let logits = self.forward(&mut graph);
        self.objective().push_loss(&mut graph, logits);
        Ok((graph, logits))
    }

    /// A training pass over batches of so many examples of `context` rows each: forward, loss, and backward down to the lowest
    /// parameter that is trainable. Frozen parameters get no gradient, and what only theirs would need is not kept.
    ///
    /// # Errors
    /// As [`graph`](Network::graph).
    fn training(&self, examples: usize, context: usize, trainable: impl Fn(&str) -> bool) -> Result<Pass, Error> {
        let (graph, logits) = self.graph(examples, context, true)?;
        Ok(graph.pass(logits, self.params(), trainable))
    }

    /// The same without dropout below the lowest trainable parameter, so that its outputs can be cached.
    ///
    /// # Errors
    /// As [`graph`](Network::graph).
    fn training_on_still_trunk(
        &self,
        examples: usize,
        context: usize,
        trainable: impl Fn(&str) -> bool,
    ) -> Result<Pass, Error> {
        let params = self.params();
        let names = params.iter().map(|param| &param.name).filter(|name| trainable(name)).cloned();
        let (graph, logits) = self.written(Graph::new(examples, context, true).still_below(names.collect()))?;
        Ok(graph.pass(logits, params, trainable))
    }

    /// Only forward pass and loss.
    ///
    /// # Errors
    /// As [`graph`](Network::graph).
    fn evaluation(&self, examples: usize, context: usize) -> Result<Pass, Error> {
        let (graph, logits) = self.graph(examples, context, false)?;
        Ok(graph.pass(logits, self.params(), |_| false))
    }

    /// The largest batch of examples of `context` rows of which the device can bind each activation, 0 for none. Whether
    /// all of them fit its memory is another matter: see [`Pass::bytes`].
    fn largest_batch(&self, engine: &Engine, context: usize) -> usize {
        let most = u32::MAX as usize / (self.widest() * context).max(1);
        self.evaluation(1, context).map_or(0, |pass| pass.largest_batch(engine, most))
    }
}

macro_rules! families {
    ($($name:ident),* $(,)?) => {
        /// A model, of any family.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "each is told of by its own type")]
        pub enum Model { $($name($name)),* }

        $(impl From<$name> for Model {
            fn from(model: $name) -> Model {
                Model::$name(model)
            }
        })*

        families!(@each [$($name)*]
            check() -> Result<(), Error>;
            params() -> Vec<Param>;
            buffers() -> Vec<Param>;
            tied() -> Vec<(String, String)>;
            settings() -> Vec<(&'static str, String)>;
            initial_of(param: &Param, seed: u32, place: u32) -> Vec<f32>;
            context() -> usize;
            widest() -> usize;
            objective() -> Objective;
            sizes() -> Option<&TransformerSizes>;
            vector_width() -> Option<usize>;
            types() -> usize;
            outputs() -> usize;
            last_layer() -> Vec<String>;
            on_top() -> Vec<String>;
            next_token() -> Option<(Model, (String, String))>;
            forward(graph: &mut Graph) -> Value;
            is_transposed(name: &str) -> bool;
            name_here(name: &str) -> Option<String>;
            fits_other(name: &str, shape: &[usize]) -> bool;
            fitted(name: &str, shape: &[usize], values: &[f32]) -> Option<Vec<f32>>;
            unused() -> &'static [&'static str];
            name_in_class(name: &str) -> String;
        );
    };
    (@each $names:tt $($method:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        impl Network for Model {
            $(fn $method(&self, $($argument: $kind),*) -> $result {
                families!(@match self $names $method($($argument),*))
            })*
        }
    };
    (@match $model:ident [$($name:ident)*] $method:ident $arguments:tt) => {
        match $model { $(Model::$name(model) => model.$method $arguments),* }
    };
}

// Every family: a file, and its name here.
families! { Bert, EfficientNetLite, Gpt2, Mlp, ResNet, Vit }

fn check_batch(examples: usize, context: usize, [longest, widest]: [usize; 2]) -> Result<(), Error> {
    let bad = |setting, value: usize, allowed| Err(Error::BadConfig { setting, value: value as f64, allowed });
    if examples == 0 {
        return bad("batch", 0, "1 or more");
    }
    if context == 0 || context > longest {
        return bad("context", context, "from 1 to the model's context");
    }
    // Kernels count the numbers of a value in 32 bits.
    if widest as u128 * context as u128 * examples as u128 > u128::from(u32::MAX) {
        return bad("batch", examples, "small enough that the widest activation has at most 2^32 numbers");
    }
    Ok(())
}

/// A weight of this shape, and a bias as long as its first side.
fn pair(params: &mut Vec<Param>, module: &str, shape: &[usize]) {
    params.push(Param::new(format!("{module}.weight"), shape));
    params.push(Param::new(format!("{module}.bias"), &shape[..1]));
}

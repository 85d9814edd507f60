//! Operations, one a file: what each reads and writes, its gradient, and its dispatch: the right variant of its kernel, its
//! constants and its grid, from the sizes and the memory it works on.
//!
//! The functions take memory in the order in which the shader's head lists it. Activations are f32, `[rows, quads(width)]`
//! vec4, zero after the last column; a model's rows are examples · context. What may be left out is an `Option`. Weights and
//! tables come with how they are stored.

mod activate;
mod add;
mod attention;
mod batch_norm;
mod binary_cross_entropy;
mod cast;
mod conv;
mod counts;
mod draft;
mod dropout;
mod embedding;
mod join;
mod layer_norm;
mod layer_scale;
mod linear;
mod linear_squares;
mod loss;
mod norm;
mod planes;
mod pool;
mod prefix_tokens;
mod product;
mod squared_error;
mod squares;
mod tiled;
mod window_pool;

pub use activate::{Activation, activate, activate_backward};
pub use add::add;
pub use attention::{Heads, Sight, attention, attention_backward_key_value, attention_backward_query, numbers};
pub use batch_norm::{batch_moments, batch_norm, batch_norm_backward_input, batch_norm_backward_weight};
pub use binary_cross_entropy::binary_cross_entropy;
pub use cast::cast;
pub use conv::{Window, conv, conv_backward_input, conv_backward_weight};
pub use counts::{confusion, label_confusion, squared_error_sums};
pub use dropout::dropout;
pub use embedding::{Table, embedding, embedding_backward, embedding_index, position_index};
pub use join::{join, join_backward};
pub use layer_norm::{layer_norm, layer_norm_backward};
pub use layer_scale::{layer_scale, layer_scale_backward};
pub use linear::{linear, linear_backward_input, linear_backward_weight};
pub use loss::{softmax_cross_entropy, tally};
pub use norm::Norm;
pub use pool::{Tokens, first_tokens, mean_pool, mean_pool_backward};
pub use prefix_tokens::{prefix_tokens, prefix_tokens_backward_input, prefix_tokens_backward_tables};
pub use product::After;
pub use squared_error::squared_error;
pub use squares::write_squares;
pub use window_pool::{window_pool, window_pool_backward};

pub(super) use activate::{Activate, ActivateBackward};
pub(super) use add::Add;
pub(super) use attention::{Attention, AttentionBackwardKeyValue, AttentionBackwardQuery};
pub(super) use batch_norm::{BatchMoments, BatchNorm, BatchNormBackwardInput, BatchNormBackwardWeight};
pub(super) use binary_cross_entropy::BinaryCrossEntropy;
pub(super) use cast::Cast;
pub(super) use conv::{Conv, ConvBackwardInput, ConvBackwardWeight};
pub(super) use dropout::Dropout;
pub(super) use embedding::{Embedding, EmbeddingBackward, EmbeddingIndex};
pub(super) use join::{Join, JoinBackward};
pub(super) use layer_norm::{LayerNorm, LayerNormBackward};
pub(super) use layer_scale::{LayerScale, LayerScaleBackward};
pub(super) use linear::{Fused, Linear, LinearBackwardInput, LinearBackwardWeight};
pub(super) use loss::{SoftmaxCrossEntropy, Tally};
pub(super) use pool::{MeanPool, MeanPoolBackward};
pub(super) use prefix_tokens::{PrefixTokens, PrefixTokensBackwardInput, PrefixTokensBackwardTables};
pub(super) use squared_error::SquaredError;
pub(super) use window_pool::{WindowPool, WindowPoolBackward};

use super::Error;
use super::graph::{Backward, Graph, Nodes, Placing, Sample, Value};
use crate::engine::Dispatch;
use crate::engine::kernels::ValueStorage;
use crate::params::Param;
use draft::{Constants, Draft, lanes, or_aside, read_as, switch};

/// Vec4s in a row of this many numbers.
pub fn quads(width: usize) -> usize {
    width.div_ceil(4)
}

/// Bytes of activations of this shape.
pub fn activation_bytes(rows: usize, width: usize) -> u64 {
    (rows * quads(width) * 16) as u64
}

/// The values that an operation reads, and those that it writes. What it adds to, it reads and writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Uses {
    pub(super) reads: Vec<Value>,
    pub(super) writes: Vec<Value>,
}

impl Uses {
    fn new<R: Into<Option<Value>>, W: Into<Option<Value>>>(
        reads: impl IntoIterator<Item = R>,
        writes: impl IntoIterator<Item = W>,
    ) -> Uses {
        Uses {
            reads: reads.into_iter().filter_map(Into::into).collect(),
            writes: writes.into_iter().filter_map(Into::into).collect(),
        }
    }

    /// Those of an operation that writes only gradients of parameters.
    fn reading(reads: impl Into<Vec<Value>>) -> Uses {
        Uses { reads: reads.into(), writes: Vec::new() }
    }

    /// Reads too what it adds to.
    fn adding(mut self, adds: bool) -> Uses {
        if adds {
            self.reads.extend(&self.writes);
        }
        self
    }
}

impl IntoIterator for Uses {
    type Item = Value;
    type IntoIter = std::iter::Chain<std::vec::IntoIter<Value>, std::vec::IntoIter<Value>>;

    fn into_iter(self) -> Self::IntoIter {
        self.reads.into_iter().chain(self.writes)
    }
}

/// What a graph asks of an operation.
pub(super) trait Operate {
    /// The values that it reads and writes; first those that another operation may be folded into it by.
    fn uses(&self) -> Uses;

    /// Shows each of these, to be put in another's place.
    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value));

    /// What its values are stored in, which is the same for all.
    fn storage(&self, nodes: &Nodes) -> ValueStorage {
        let mut values = self.uses().into_iter().filter(|value| nodes[*value].form.has_numbers());
        values.next().map_or(ValueStorage::F32, |value| nodes[value].storage)
    }

    /// The parameters that it reads.
    fn params(&self) -> Vec<&str> {
        Vec::new()
    }

    /// The shapes of these parameters, in their order.
    fn shapes(&self, _nodes: &Nodes) -> Vec<Vec<usize>> {
        Vec::new()
    }

    /// The buffers that it keeps, with their shapes: state that is no parameter.
    fn buffers(&self, _nodes: &Nodes) -> Vec<Param> {
        Vec::new()
    }

    /// Whether it gives other values at every step.
    fn drops(&self) -> bool {
        false
    }

    /// Whether it belongs to a loss.
    fn is_loss(&self) -> bool {
        false
    }

    /// Multiplies the gradient by this value from now on, if it is a loss that makes one.
    fn scale_loss(&mut self, _scale: &mut dyn FnMut() -> Value) {}

    /// Leaves out what is to happen once in a pass: its values are made again.
    fn repeat(&mut self) {}

    /// Leaves no trace in buffers of a module whose parameters are not trainable.
    fn hold_frozen(&mut self, _trainable: &dyn Fn(&str) -> bool) {}

    /// Multiplications of a layer of matrices, or of its backward pass, over so many examples.
    fn products(&self, _nodes: &Nodes, _examples: usize) -> u64 {
        0
    }

    /// Appends its part of the backward pass. Operations of a backward pass have none.
    fn backward(&self, _back: &mut Backward<'_>) {}

    /// Its dispatch; `None` if it has nothing to do.
    fn dispatch<E: From<Error>>(&self, _at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        Ok(None)
    }

    /// All its dispatches, if there may be several.
    fn dispatches<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Vec<Dispatch>, E> {
        Ok(self.dispatch(at)?.into_iter().collect())
    }
}

macro_rules! operations {
    ($($name:ident),* $(,)?) => {
        /// An operation of a pass.
        #[derive(Clone, Debug, PartialEq)]
        pub(super) enum Operation { $($name($name)),* }

        $(impl From<$name> for Operation {
            fn from(operation: $name) -> Operation {
                Operation::$name(operation)
            }
        })*

        impl Operate for Operation {
            fn uses(&self) -> Uses {
                match self { $(Operation::$name(operation) => operation.uses()),* }
            }

            fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
                match self { $(Operation::$name(operation) => operation.each_value(see)),* }
            }

            fn storage(&self, nodes: &Nodes) -> ValueStorage {
                match self { $(Operation::$name(operation) => operation.storage(nodes)),* }
            }

            fn params(&self) -> Vec<&str> {
                match self { $(Operation::$name(operation) => operation.params()),* }
            }

            fn shapes(&self, nodes: &Nodes) -> Vec<Vec<usize>> {
                match self { $(Operation::$name(operation) => operation.shapes(nodes)),* }
            }

            fn buffers(&self, nodes: &Nodes) -> Vec<Param> {
                match self { $(Operation::$name(operation) => operation.buffers(nodes)),* }
            }

            fn drops(&self) -> bool {
                match self { $(Operation::$name(operation) => operation.drops()),* }
            }

            fn is_loss(&self) -> bool {
                match self { $(Operation::$name(operation) => operation.is_loss()),* }
            }

            fn scale_loss(&mut self, scale: &mut dyn FnMut() -> Value) {
                match self { $(Operation::$name(operation) => operation.scale_loss(scale)),* }
            }

            fn repeat(&mut self) {
                match self { $(Operation::$name(operation) => operation.repeat()),* }
            }

            fn hold_frozen(&mut self, trainable: &dyn Fn(&str) -> bool) {
                match self { $(Operation::$name(operation) => operation.hold_frozen(trainable)),* }
            }

            fn products(&self, nodes: &Nodes, examples: usize) -> u64 {
                match self { $(Operation::$name(operation) => operation.products(nodes, examples)),* }
            }

            fn backward(&self, back: &mut Backward<'_>) {
                match self { $(Operation::$name(operation) => operation.backward(back)),* }
            }

            fn dispatches<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Vec<Dispatch>, E> {
                match self { $(Operation::$name(operation) => operation.dispatches(at)),* }
            }
        }
    };
}

// Every operation: a file, and its names here.
operations! {
    Activate, ActivateBackward,
    Add,
    BatchMoments, BatchNorm, BatchNormBackwardInput, BatchNormBackwardWeight,
    Cast,
    Conv, ConvBackwardInput, ConvBackwardWeight,
    Attention, AttentionBackwardQuery, AttentionBackwardKeyValue,
    Dropout,
    Embedding, EmbeddingIndex, EmbeddingBackward,
    Join, JoinBackward,
    LayerNorm, LayerNormBackward,
    LayerScale, LayerScaleBackward,
    Linear, LinearBackwardInput, LinearBackwardWeight,
    MeanPool, MeanPoolBackward,
    PrefixTokens, PrefixTokensBackwardInput, PrefixTokensBackwardTables,
    SoftmaxCrossEntropy, BinaryCrossEntropy, SquaredError, Tally,
    WindowPool, WindowPoolBackward,
}

/// A layer of an encoder at the sizes of training, with nearly every operation in it: so many sequences of so many tokens.
#[doc(hidden)]
pub fn sample_at_size([sequences, tokens]: [usize; 2]) -> Sample {
    const WIDTH: usize = 384;
    let network = |graph: &mut Graph| {
        let [words, types, mask] = ["tokens", "types", "mask"].map(|name| graph.words(name, tokens));
        let tables = [Table::new("tokens", 30_522), Table::new("positions", tokens)];
        let x = graph.embedding(words, tables, Some((types, Table::new("types", 2))), WIDTH);
        let x = graph.layer_norm("norm", x, 1e-12);
        let x = graph.dropout(x, 0.1, 0);
        let qkv = graph.linear("qkv", x, 3 * WIDTH);
        let heads = Heads { count: 12, sight: Sight::Both, dropout: 0.0, stream: 0 };
        let attended = graph.attention("attention", qkv, mask, heads);
        let attended = graph.linear("output", attended, WIDTH);
        let x = graph.add(attended, x);
        let up = graph.linear("up", x, 4 * WIDTH);
        let up = graph.activate("up", Activation::Gelu, up);
        let down = graph.linear("down", up, WIDTH);
        let x = graph.add(down, x);
        let x = graph.activate("last", Activation::Tanh, x);
        let pooled = graph.mean_pool(x, mask);
        graph.classified(pooled, 8)
    };
    let name = format!("a layer of an encoder, {sequences} of {tokens} tokens");
    Sample::of(name, [sequences, tokens], network).words("tokens", 30_522).words("types", 2)
}

const NARROW: [ValueStorage; 2] = [ValueStorage::Bf16, ValueStorage::F16];

/// Small networks, in which every operation is tried at sizes that fill nothing evenly, and at those at which drivers have
/// gone wrong.
#[doc(hidden)]
pub fn samples() -> Vec<Sample> {
    // With how the names of their kernels begin.
    let all: [(&'static [&'static str], Vec<Sample>); 16] = [
        (&["linear"], linear::samples()),
        (&["conv", "depthwise"], conv::samples()),
        (&["batch_"], batch_norm::samples()),
        (&["window_pool"], window_pool::samples()),
        (&["activate", "add"], activate::samples()),
        (&["layer_norm", "add"], layer_norm::samples()),
        (&["layer_scale"], layer_scale::samples()),
        (&["attention"], attention::samples()),
        (&["embedding"], embedding::samples()),
        (&["mean_pool"], pool::samples()),
        (&["prefix_tokens"], prefix_tokens::samples()),
        (&["join"], join::samples()),
        (&["dropout"], dropout::samples()),
        (&["softmax_cross_entropy", "tally"], loss::samples()),
        (&["binary_cross_entropy"], binary_cross_entropy::samples()),
        (&["squared_error"], squared_error::samples()),
    ];
    let made_for = |(kernels, samples): (_, Vec<Sample>)| {
        samples.into_iter().map(move |sample| sample.made_for(kernels)).collect::<Vec<_>>()
    };
    let all = all.map(made_for);
    // In 16 bits the small ones: loads and stores are the same at every size.
    let in_16_bits = |sample: &Sample| NARROW.map(|storage| sample.clone().stored_in(storage));
    let small = all.iter().flatten().filter(|sample| sample.sizes().iter().product::<usize>() <= 150);
    let narrow: Vec<Sample> = small.flat_map(in_16_bits).collect();
    all.into_iter().flatten().chain(narrow).collect()
}

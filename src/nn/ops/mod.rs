//! Operations, one a file: what each reads and writes, its gradient, and its dispatch: the right variant of its kernel, its
//! constants and its grid, from the sizes and the memory it works on.
//!
//! The functions take memory in the order in which the shader's head lists it. Activations are f32, `[rows, quads(width)]`
//! vec4, zero behind the last column; a model's rows are examples · context. What may be left out is an `Option`. Weights and
//! tables come with how they are stored.

mod activate;
mod add;
mod attention;
mod dropout;
mod embedding;
mod layer_norm;
mod linear;
mod loss;
mod pool;
mod squares;

pub use activate::{Activation, activate, activate_backward};
pub use add::add;
pub use attention::{Heads, Sight, attention, attention_backward_key_value, attention_backward_query, numbers};
pub use dropout::dropout;
pub use embedding::{Table, embedding, embedding_backward, embedding_index, position_index};
pub use layer_norm::{layer_norm, layer_norm_backward_input, layer_norm_backward_weight};
pub use linear::{After, linear, linear_backward_input, linear_backward_weight};
pub use loss::{softmax_cross_entropy, tally};
pub use pool::{first_tokens, mean_pool, mean_pool_backward};
pub use squares::write_squares;

pub(super) use activate::{Activate, ActivateBackward};
pub(super) use add::Add;
pub(super) use attention::{Attention, AttentionBackwardKeyValue, AttentionBackwardQuery};
pub(super) use dropout::Dropout;
pub(super) use embedding::{Embedding, EmbeddingBackward, EmbeddingIndex};
pub(super) use layer_norm::{LayerNorm, LayerNormBackwardInput, LayerNormBackwardWeight};
pub(super) use linear::{Fused, Linear, LinearBackwardInput, LinearBackwardWeight};
pub(super) use loss::{SoftmaxCrossEntropy, Tally};
pub(super) use pool::{MeanPool, MeanPoolBackward};

use super::Error;
use super::graph::{Backward, Placing, Value};
use crate::engine::kernels::{Flag, Flags};
use crate::engine::{Binding, Dispatch, Engine, Kernel, Range, row_of};
use crate::params::Storage;

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
    fn new(reads: impl Into<Vec<Value>>, writes: impl Into<Vec<Value>>) -> Uses {
        Uses { reads: reads.into(), writes: writes.into() }
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

    /// The parameters that it reads.
    fn params(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Whether it gives other values at every step.
    fn drops(&self) -> bool {
        false
    }

    /// Appends its part of the backward pass. Operations of a backward pass have none.
    fn backward(&self, _back: &mut Backward<'_>) {}

    /// Its dispatch; `None` where it has nothing to do.
    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E>;
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

            fn params(&self) -> Vec<&str> {
                match self { $(Operation::$name(operation) => operation.params()),* }
            }

            fn drops(&self) -> bool {
                match self { $(Operation::$name(operation) => operation.drops()),* }
            }

            fn backward(&self, back: &mut Backward<'_>) {
                match self { $(Operation::$name(operation) => operation.backward(back)),* }
            }

            fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
                match self { $(Operation::$name(operation) => operation.dispatch(at)),* }
            }
        }
    };
}

// Every operation: a file, and its names here.
operations! {
    Activate, ActivateBackward,
    Add,
    Attention, AttentionBackwardQuery, AttentionBackwardKeyValue,
    Dropout,
    Embedding, EmbeddingIndex, EmbeddingBackward,
    LayerNorm, LayerNormBackwardInput, LayerNormBackwardWeight,
    Linear, LinearBackwardInput, LinearBackwardWeight,
    MeanPool, MeanPoolBackward,
    SoftmaxCrossEntropy, Tally,
}

type Constants = Vec<(&'static str, f64)>;

/// A dispatch before its sizes get their buffer.
struct Draft {
    kernel: &'static Kernel,
    memory: Vec<Binding>,
    constants: Constants,
    /// Invocations wanted, and how many make a workgroup.
    invocations: u64,
    workgroup: u32,
    bytes: u64,
}

impl Draft {
    /// An operation that reduces along rows, and how many times it streams over them.
    ///
    /// On software an invocation takes a row alone: 8 lanes that share one make a layer norm of 1,024 rows of 128 take
    /// 2.3 ms instead of 0.7 to 1.5, its backward pass 2.4 instead of 1.2, a loss of 256 rows over 30,522 classes 91 instead
    /// of 77 (llvmpipe, 2 shared cores). Workgroups of 8, 32 and 64 rows do not differ by more than the machine drifts;
    /// 8 leave a small batch to both cores. On a GPU 32 lanes share a row (not measured there).
    fn of_rows(
        engine: &Engine,
        kernel: &'static Kernel,
        memory: Vec<Binding>,
        rows: u32,
        quads: u32,
        streams: u64,
    ) -> Draft {
        let [workgroup, lanes] = engine.sizes().rows;
        Draft {
            kernel,
            memory,
            constants: vec![self::lanes(lanes)],
            invocations: u64::from(rows) * u64::from(lanes),
            workgroup,
            bytes: 16 * streams * u64::from(rows) * u64::from(quads),
        }
    }

    /// An operation whose invocations make a vec4 each and know nothing of each other.
    ///
    /// On software a workgroup costs about 0.3 µs beside its work. Zeros for a table of 30,522 by 384 (47 MB), where that
    /// is all there is, take 139 ms in workgroups of 8, 38 ms of 32, 34 ms of 64 and 16 ms of 256 (llvmpipe, 2 shared
    /// cores); what works on 131,072 numbers is within 20 % from 64 on. GPUs are given the same (not measured there).
    fn of_elements(
        engine: &Engine,
        kernel: &'static Kernel,
        memory: Vec<Binding>,
        invocations: u64,
        bytes: u64,
    ) -> Draft {
        let workgroup = engine.sizes().elements;
        Draft { kernel, memory, constants: Vec::new(), invocations, workgroup, bytes }
    }

    /// The dispatch. Sizes are bound at `place`, the bindings behind it follow.
    fn dispatch<T: bytemuck::NoUninit>(self, engine: &Engine, place: usize, shape: &T) -> Result<Dispatch, Error> {
        let Draft { kernel, memory: mut bindings, mut constants, invocations, workgroup, bytes } = self;
        let shape = engine.buffer_with("shape", std::slice::from_ref(shape))?;
        bindings.insert(place, (&shape).into());
        constants.insert(0, ("WORKGROUP", f64::from(workgroup)));
        let groups = u32::try_from(invocations.div_ceil(u64::from(workgroup))).unwrap_or(u32::MAX);
        Ok(Dispatch { kernel, bindings, constants, grid: row_of(groups), bytes })
    }
}

/// How many lanes share a row or a column.
fn lanes(count: u32) -> (&'static str, f64) {
    ("LANES", f64::from(count))
}

/// A switch of a kernel.
fn switch(name: &'static str, on: bool) -> (&'static str, f64) {
    (name, f64::from(u8::from(on)))
}

/// The flag of the kernel that reads a matrix with rows of this width: `in_bf16`, or [`Flag::Ragged`] where rows do not start
/// at a vec4 and are read one by one.
fn read_as(stored: Storage, width: u32, in_bf16: Flag) -> Result<Flags, Error> {
    match (stored, width.is_multiple_of(4)) {
        (Storage::F32, true) => Ok(Flags::NONE),
        (Storage::F32, false) => Ok(Flag::Ragged.into()),
        (Storage::Bf16, true) => Ok(in_bf16.into()),
        (Storage::Bf16 | Storage::Int8, _) => Err(Error::Unreadable { stored, width: width as usize }),
    }
}

/// The range, or memory for a binding that its kernel leaves alone.
fn or_aside(engine: &Engine, range: Option<Range>) -> Result<Range, Error> {
    match range {
        Some(range) => Ok(range),
        None => Ok(engine.buffer("aside", 16)?.all()),
    }
}

//! A pass over a batch as data: what is computed from what, before it has any memory.

use crate::nn::Activation;
use crate::nn::ops::activation_bytes;

/// A number's place in a list of [`Value`]s.
pub(super) type Id = usize;

/// An activation, or the gradient of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    pub(super) label: String,
    pub(super) bytes: u64,
}

/// A linear layer: its parameters by name, and its sizes. An encoder's query, key and value write a plane each of one
/// value, at `plane`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layer {
    pub(super) weight: String,
    pub(super) bias: Option<String>,
    pub(super) rows: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) plane: usize,
}

impl Layer {
    /// Bytes from one plane to the next: they start where a binding may.
    pub(super) fn plane_bytes(&self) -> u64 {
        plane_bytes(self.rows, self.outputs)
    }
}

/// Bytes of a plane of activations, to where the next may start.
pub(super) fn plane_bytes(rows: usize, width: usize) -> u64 {
    activation_bytes(rows, width).next_multiple_of(256)
}

/// What is folded into a linear layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum After {
    Nothing,
    /// Writes the activation of z too.
    Activation(Activation, Id),
    /// Adds this value.
    Residual(Id),
}

/// A layer norm: γ and β by their module's name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Norm {
    pub(super) module: String,
    pub(super) rows: usize,
}

/// One operation. Lower case are values: `x` is read, `y` and what is named like an output is written; a `d…` is a
/// gradient. `adds`: the gradient is added to what is there.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Token, position and type embeddings, by parameter name.
    Embed {
        tables: Vec<String>,
        y: Id,
    },
    EmbedBackward {
        tables: Vec<String>,
        dy: Id,
    },
    /// With a residual, `sum` is x + residual, and is what is normalized.
    Norm {
        norm: Norm,
        x: Id,
        residual: Option<(Id, Id)>,
        y: Id,
        moments: Id,
    },
    NormInput {
        norm: Norm,
        dy: Id,
        x: Id,
        moments: Id,
        dx: Id,
        adds: bool,
    },
    NormWeight {
        norm: Norm,
        dy: Id,
        x: Id,
        moments: Id,
    },
    Linear {
        layer: Layer,
        x: Id,
        z: Id,
        after: After,
    },
    LinearInput {
        layer: Layer,
        dz: Id,
        below: Option<(Activation, Id)>,
        dx: Id,
        adds: bool,
    },
    LinearWeight {
        layer: Layer,
        dz: Id,
        x: Id,
    },
    Attention {
        qkv: Id,
        out: Id,
        lse: Id,
        stream: u32,
    },
    /// Makes delta too, for what goes to keys and values.
    AttentionQuery {
        qkv: Id,
        out: Id,
        dout: Id,
        lse: Id,
        delta: Id,
        dqkv: Id,
        stream: u32,
    },
    AttentionKeyValue {
        qkv: Id,
        dout: Id,
        lse: Id,
        delta: Id,
        dqkv: Id,
        stream: u32,
    },
    /// A row for each sequence.
    Pool {
        x: Id,
        y: Id,
    },
    PoolBackward {
        dy: Id,
        dx: Id,
    },
    /// Zeroes a share, scales the rest and adds the residual; `stream` tells one use from another. Its own backward pass.
    Dropout {
        x: Id,
        y: Id,
        residual: Option<Id>,
        rows: usize,
        width: usize,
        stream: u32,
    },
    /// The loss of each row, and the gradient of the logits.
    Loss {
        logits: Id,
        dlogits: Id,
        verdicts: Id,
    },
}

impl Step {
    /// The values that it reads, and those that it writes. What it adds to, it reads and writes.
    pub(super) fn values(&self) -> (Vec<Id>, Vec<Id>) {
        match self {
            Step::Embed { y, .. } => (vec![], vec![*y]),
            Step::EmbedBackward { dy, .. } => (vec![*dy], vec![]),
            Step::Norm { x, residual, y, moments, .. } => {
                let (residual, sum) = residual.unzip();
                (
                    [Some(*x), residual].into_iter().flatten().collect(),
                    [Some(*y), Some(*moments), sum].into_iter().flatten().collect(),
                )
            }
            Step::NormInput { dy, x, moments, dx, adds, .. } => added(vec![*dy, *x, *moments], *dx, *adds),
            Step::NormWeight { dy, x, moments, .. } => (vec![*dy, *x, *moments], vec![]),
            Step::Linear { x, z, after, .. } => match after {
                After::Nothing => (vec![*x], vec![*z]),
                After::Activation(_, h) => (vec![*x], vec![*z, *h]),
                After::Residual(residual) => (vec![*x, *residual], vec![*z]),
            },
            Step::LinearInput { dz, below, dx, adds, .. } => {
                let reads = [Some(*dz), below.map(|(_, z)| z)].into_iter().flatten().collect();
                added(reads, *dx, *adds)
            }
            Step::LinearWeight { dz, x, .. } => (vec![*dz, *x], vec![]),
            Step::Attention { qkv, out, lse, .. } => (vec![*qkv], vec![*out, *lse]),
            Step::AttentionQuery { qkv, out, dout, lse, delta, dqkv, .. } => {
                (vec![*qkv, *out, *dout, *lse], vec![*delta, *dqkv])
            }
            Step::AttentionKeyValue { qkv, dout, lse, delta, dqkv, .. } => (vec![*qkv, *dout, *lse, *delta], vec![*dqkv]),
            Step::Pool { x, y } => (vec![*x], vec![*y]),
            Step::PoolBackward { dy, dx } => (vec![*dy], vec![*dx]),
            Step::Dropout { x, y, residual, .. } => ([Some(*x), *residual].into_iter().flatten().collect(), vec![*y]),
            Step::Loss { logits, dlogits, verdicts } => (vec![*logits], vec![*dlogits, *verdicts]),
        }
    }

    /// The parameters that it uses, but for a norm's.
    pub(super) fn params(&self) -> Vec<&str> {
        match self {
            Step::Embed { tables, .. } | Step::EmbedBackward { tables, .. } => {
                tables.iter().map(String::as_str).collect()
            }
            Step::Linear { layer, .. } | Step::LinearWeight { layer, .. } => {
                [Some(&layer.weight), layer.bias.as_ref()].into_iter().flatten().map(String::as_str).collect()
            }
            _ => vec![],
        }
    }
}

fn added(mut reads: Vec<Id>, dx: Id, adds: bool) -> (Vec<Id>, Vec<Id>) {
    if adds {
        reads.push(dx);
    }
    (reads, vec![dx])
}

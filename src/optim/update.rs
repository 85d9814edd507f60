//! What the third stage of a step needs to know of its rule: the kernel, and the moments that a parameter has.

use super::Precision;
use super::work::Floats;
use crate::engine;
use crate::engine::kernels::{self, Family, Flag, Kernel};
use crate::params::{Row, Rule, Storage};

/// The update stage of a group, and of all that share its dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Update {
    /// The kernels of the rule; those of moments in a byte each are another family.
    pub(crate) family: &'static Family,
    /// What torch calls the moments, in the order of the kernel's bindings. Each is an arena.
    pub(crate) moments: &'static [&'static str],
    /// How they are stored.
    pub(crate) storage: Storage,
    /// Whether a moving average of the parameters is kept, in f32.
    pub(crate) has_average: bool,
    /// How parameters and gradients are stored.
    pub(crate) precision: Precision,
}

// Statics: with Rust 1.88 no constant may refer to a family, which makes its kernels when they are first asked for.
static ADAMW: Update = Update {
    family: &kernels::ADAMW,
    moments: &["exp_avg", "exp_avg_sq"],
    storage: Storage::F32,
    has_average: false,
    precision: Precision::F32,
};
static AMSGRAD: Update = Update { moments: &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"], ..ADAMW };
/// The buffer is there without momentum too, so that a schedule may bring the momentum up from 0.
static SGD: Update = Update { family: &kernels::SGD, moments: &["momentum_buffer"], ..ADAMW };

/// What the average is called in files.
pub(crate) const AVERAGE: &str = "ema";
/// Bytes of an element of the average.
const AVERAGE_BYTES: u64 = 4;

impl Update {
    /// What all groups with these rows have room in, if their rules go together: every moment that one of them has, in the
    /// widest storage that one of them has, and an average if one of them keeps one. No group at all is AdamW.
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Update {
        rows.into_iter().map(Update::of_row).reduce(Update::joined).unwrap_or(ADAMW)
    }

    fn joined(self, other: Update) -> Update {
        let more = other.moments.len() > self.moments.len();
        let moments = if more { other.moments } else { self.moments };
        let has_average = self.has_average || other.has_average;
        Update { moments, storage: self.storage.min(other.storage), has_average, ..self }
    }

    /// What one group needs.
    pub(crate) fn of_row(row: &Row) -> Update {
        let rule = match row.rule {
            Rule::AdamW | Rule::Adam if row.amsgrad => AMSGRAD,
            Rule::AdamW | Rule::Adam => ADAMW,
            Rule::Sgd => SGD,
        };
        Update { storage: row.moments, has_average: row.ema_decay.is_some(), ..rule }
    }

    /// Whether one optimizer may have both.
    pub(crate) fn goes_with(&self, other: &Update) -> bool {
        self.family == other.family
    }

    /// Whether moments of one are moments of the other.
    pub(crate) fn is_stored_as(&self, other: &Update) -> bool {
        self.goes_with(other) && self.storage == other.storage
    }

    /// Whether tensors of both may lie in one arena.
    pub(crate) fn is_kept_as(&self, other: &Update) -> bool {
        self.is_stored_as(other) && (self.has_average, self.precision) == (other.has_average, other.precision)
    }

    /// What a tensor has besides its parameter and gradient: the moments and, last, the average.
    pub(crate) fn streams(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.moments.iter().copied().chain(self.has_average.then_some(AVERAGE))
    }

    /// The kernel; there is none of single floats, or with an average, where values are bf16.
    pub(crate) fn kernel(&self, floats: Floats) -> Result<&'static Kernel, engine::Error> {
        let flags = Flag::SingleGrads.when(floats != Floats::Quads)
            | Flag::SingleParams.when(floats == Floats::Singles)
            | Flag::Amsgrad.when(self.moments == AMSGRAD.moments)
            | Flag::Bf16.when(self.storage == Storage::Bf16)
            | Flag::Average.when(self.has_average)
            | Flag::Params16.when(self.precision.values() == Storage::Bf16)
            | Flag::Grads16.when(self.precision.gradients() == Storage::Bf16);
        let family = if self.storage == Storage::Int8 { &kernels::ADAMW_INT8 } else { self.family };
        family.variant(flags)
    }

    /// Bytes of the moments and the average of so many elements.
    pub(crate) fn state_bytes(&self, elements: u64) -> u64 {
        let average = if self.has_average { elements * AVERAGE_BYTES } else { 0 };
        self.storage.bytes(elements) * self.moments.len() as u64 + average
    }

    /// Bytes that a step moves for so many elements of a tensor: parameter and state are read and written, the gradient is
    /// read.
    pub(crate) fn step_bytes(&self, elements: u64) -> u64 {
        let [values, gradient] = [self.precision.values(), self.precision.gradients()].map(|it| it.bytes(elements));
        2 * (values + self.state_bytes(elements)) + gradient
    }
}

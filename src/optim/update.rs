//! What the third stage of a step needs to know of its rule: the kernel, and the moments that a parameter has.

use crate::engine::{self, Kernel, kernel};
use crate::params::{Row, Rule, Storage};

/// Bytes that every rule moves for an element: the parameter is read and written, the gradient is read.
const BYTES: u64 = 12;

/// The update stage of a group, and of all that share its dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Update {
    /// The kernel; a variant of it where parameters are in place, amsgrad is in use or moments are not f32.
    pub(crate) kernel: &'static str,
    /// What torch calls the moments, in the order of the kernel's bindings. Each is an arena.
    pub(crate) moments: &'static [&'static str],
    /// How they are stored.
    pub(crate) storage: Storage,
}

const ADAMW: Update = Update { kernel: "adamw", moments: &["exp_avg", "exp_avg_sq"], storage: Storage::F32 };
const AMSGRAD: Update = Update { moments: &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"], ..ADAMW };
/// The buffer is there without momentum too, so that a schedule may bring the momentum up from 0.
const SGD: Update = Update { kernel: "sgd", moments: &["momentum_buffer"], storage: Storage::F32 };

impl Update {
    /// What all groups with these rows have room in, if their rules go together: every moment that one of them has, in the
    /// widest storage that one of them has. No group at all is AdamW.
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Update {
        rows.into_iter().map(Update::of_row).reduce(Update::joined).unwrap_or(ADAMW)
    }

    fn joined(self, other: Update) -> Update {
        let Update { kernel, moments, storage } = self;
        let moments = if other.moments.len() > moments.len() { other.moments } else { moments };
        Update { kernel, moments, storage: storage.min(other.storage) }
    }

    /// What one group needs.
    pub(crate) fn of_row(row: &Row) -> Update {
        let storage = row.moments;
        match row.rule {
            Rule::AdamW | Rule::Adam if row.amsgrad => Update { storage, ..AMSGRAD },
            Rule::AdamW | Rule::Adam => Update { storage, ..ADAMW },
            Rule::Sgd => SGD,
        }
    }

    /// Whether one optimizer may have both.
    pub(crate) fn goes_with(&self, other: &Update) -> bool {
        self.kernel == other.kernel
    }

    /// Whether moments of one are moments of the other.
    pub(crate) fn is_stored_as(&self, other: &Update) -> bool {
        self.goes_with(other) && self.storage == other.storage
    }

    /// The variant of the kernel.
    pub(crate) fn variant(&self, in_place: bool) -> Result<&'static Kernel, engine::Error> {
        let words = [
            (in_place, "in_place"),
            (self.moments == AMSGRAD.moments, "amsgrad"),
            (self.storage == Storage::Bf16, "bf16"),
        ];
        let words: Vec<&str> = words.into_iter().filter(|(wanted, _)| *wanted).map(|(_, word)| word).collect();
        if words.is_empty() { kernel(self.kernel) } else { kernel(&format!("{}.{}", self.kernel, words.join("_"))) }
    }

    /// Bytes of an element's moments.
    pub(crate) fn moment_bytes(&self) -> u64 {
        self.storage.element_bytes() * self.moments.len() as u64
    }

    /// Bytes that a step moves for each element: moments are read and written.
    pub(crate) fn bytes_per_element(&self) -> u64 {
        BYTES + 2 * self.moment_bytes()
    }
}

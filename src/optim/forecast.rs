//! What an optimizer will hold and move, told without a device.

use super::arena::alignment;
use super::update::Update;
use super::{Clip, Precision, Settings};
use crate::engine::layout::Record;
use crate::params::{Param, Row, Storage};

/// Predicts the bytes of an optimizer from its groups' rows and its settings. Pure: nothing is allocated.
///
/// ```
/// use gradus::optim::{Clip, Forecast, Settings};
/// use gradus::params::{Param, Row};
///
/// let settings = Settings::default().clip(Clip::norm(1.0));
/// let forecast = Forecast::of(&[Row::default()], &settings);
/// let head = [Param::new("head.weight", [10, 64])];
/// assert_eq!(forecast.step_bytes(&head), 32 * 640);
/// assert_eq!(forecast.state_bytes(&head), 8 * 640);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    update: Update,
    has_norm: bool,
    /// The norm can go by squares that kernels write.
    of_squares: bool,
}

impl Forecast {
    /// For groups with these rows. If their storage of moments differs, or only some keep an average, each is counted
    /// with the most: make a forecast for each kind, and add.
    pub fn of(rows: &[Row], settings: &Settings) -> Forecast {
        let by_norm = matches!(settings.clip, Clip::Norm { .. }) || rows.iter().any(|row| row.clip_norm.is_some());
        let of_squares = matches!(settings.clip.norm_kind(), 0 | 2);
        Forecast { update: Update::of(rows), has_norm: by_norm || settings.guard, of_squares }
    }

    /// For gradients whose kernels write their squares, as those of an MLP do: see
    /// [`Optimizer::take_squares`](super::Optimizer::take_squares).
    #[must_use]
    pub fn with_squares(self) -> Forecast {
        Forecast { has_norm: self.has_norm && !self.of_squares, ..self }
    }

    /// For parameters and gradients that are stored so.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Forecast {
        Forecast { update: Update { precision, ..self.update }, ..self }
    }

    /// Bytes that a step over these parameters moves: all that are trainable, and no other.
    pub fn step_bytes<'a>(&self, trainable: impl IntoIterator<Item = &'a Param>) -> u64 {
        // The norm reads the gradients whose squares no kernel has written.
        let norm = |elements| if self.has_norm { self.update.precision.gradients().bytes(elements) } else { 0 };
        let params = trainable.into_iter();
        params.map(|param| self.update.step_bytes(param) + norm(param.elements() as u64)).sum()
    }

    /// Bytes of these parameters' values, in our own arenas.
    pub fn parameter_bytes<'a>(&self, params: impl IntoIterator<Item = &'a Param>) -> u64 {
        arena_bytes(params, self.update.precision.values())
    }

    /// Bytes of the moments, the averages and the directions of these parameters: all that have thawed so far. Compare
    /// [`Optimizer::state_bytes`](super::Optimizer::state_bytes).
    pub fn state_bytes<'a>(&self, thawed: impl IntoIterator<Item = &'a Param>) -> u64 {
        let alignment = alignment(self.update.storage);
        let directions =
            |param| arena_elements([param], alignment).map(|elements| self.update.direction_bytes(elements));
        let bytes = |param| self.update.kept_bytes(param, alignment) + directions(param).sum::<u64>();
        thawed.into_iter().map(bytes).sum()
    }

    /// Bytes of the gradients of these parameters, in the optimizer's own arenas.
    pub fn gradient_bytes<'a>(&self, thawed: impl IntoIterator<Item = &'a Param>) -> u64 {
        arena_bytes(thawed, self.update.precision.gradients())
    }

    /// Bytes of a [`Best`](super::Best) copy of these parameters: all that have thawed when it is kept.
    pub fn best_bytes<'a>(&self, thawed: impl IntoIterator<Item = &'a Param>) -> u64 {
        let state =
            |param: &Param| self.update.kept_bytes(param, alignment(self.update.storage)) + size_of::<Record>() as u64;
        thawed.into_iter().map(|param| self.extension_bytes([param]) + state(param)).sum()
    }

    /// Bytes by which a [`Best`](super::Best) copy grows when it is extended with these parameters.
    pub fn extension_bytes<'a>(&self, about_to_thaw: impl IntoIterator<Item = &'a Param>) -> u64 {
        arena_bytes(about_to_thaw, self.update.precision.values())
    }

    pub(super) fn of_update(update: Update) -> Forecast {
        Forecast { update, has_norm: false, of_squares: false }
    }
}

/// Bytes of these parameters, or their gradients, in arenas.
fn arena_bytes<'a>(params: impl IntoIterator<Item = &'a Param>, storage: Storage) -> u64 {
    arena_elements(params, alignment(storage)).map(|elements| storage.bytes(elements)).sum()
}

/// Elements of each of these parameters in an arena. However it is cut into pages, each takes whole steps of the alignment.
fn arena_elements<'a>(params: impl IntoIterator<Item = &'a Param>, alignment: u64) -> impl Iterator<Item = u64> {
    params.into_iter().map(move |param| (param.elements() as u64).next_multiple_of(alignment))
}

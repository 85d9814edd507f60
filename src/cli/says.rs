//! How much of a run is said.

/// How much of a run is said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Says {
    /// Errors and warnings alone.
    Nothing,
    /// Evaluations and phases.
    Usual,
    /// Checkpoints too.
    All,
}

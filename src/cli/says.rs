//! How much of a run is printed.

/// How much of a run is printed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Says {
    /// Only errors and warnings.
    Nothing,
    /// Evaluations and phases.
    Usual,
    /// Checkpoints too.
    All,
}

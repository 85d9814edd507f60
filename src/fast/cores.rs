//! Where fast forms run.

/// Runs this on one of the threads that fast forms share their work among: each of them then begins at once, and does
/// not first must wake one.
pub(crate) fn on_cores<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| run())
}

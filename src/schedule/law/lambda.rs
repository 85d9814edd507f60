//! A function of the caller's.

use super::Law;

/// Its short name, and why no file may say it.
pub(in crate::schedule) const NOT_IN_FILES: (&str, &str) =
    ("lambda", "cannot stand in a file: it is a closure in Rust (schedule::law::Lambda); name another law");

/// value = base · f(step).
///
/// What f gives is taken as it is; [`Spec::table`](crate::schedule::Spec::table) and
/// [`checked_rows`](crate::schedule::checked_rows) refuse rows that are negative or no numbers.
///
/// ```
/// use gradus::schedule::law::{Lambda, Law};
///
/// let law = Lambda::new(|step| 1.0 / (1.0 + 0.5 * step as f64));
/// assert_eq!(law.value(3.0, 4), 1.0);
/// ```
#[derive(Clone, Copy)]
pub struct Lambda<F>(F);

impl<F: Fn(u64) -> f64 + Send + Sync> Lambda<F> {
    /// The law of this function.
    pub fn new(f: F) -> Lambda<F> {
        Lambda(f)
    }
}

impl<F: Fn(u64) -> f64 + Send + Sync> Law for Lambda<F> {
    fn value(&self, base: f64, step: u64) -> f64 {
        base * (self.0)(step)
    }
}

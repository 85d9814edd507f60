//! A kernel in a form: what was found of it.

use serde::{Deserialize, Serialize};

/// What a kernel in a form is called here.
pub(super) fn entry(kernel: &str, form: &str) -> String {
    format!("{kernel} ({form})")
}

/// A kernel in one form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Checked {
    /// How many trials.
    pub trials: usize,
    /// The largest error, relative to a number's size or to that of its neighbours.
    pub error: f64,
    /// Seconds, those of compiling among them.
    pub seconds: f64,
    /// A checksum of all that it wrote: if it is the same, so is every bit.
    pub crc32: u32,
}

/// A kernel in a form that is not right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// The kernel.
    pub kernel: String,
    /// Its form.
    pub form: String,
    /// What it was tried on.
    pub tried: String,
    /// What was wrong.
    pub reason: String,
    /// The form that replaces it; none if no other is right.
    #[serde(default)]
    pub instead: Option<String>,
}

//! What a check found on an adapter.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a check found, and for which adapter it is true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// The adapter's name.
    pub adapter: String,
    /// Its driver.
    pub driver: String,
    /// The version of gradus that checked it.
    pub version: String,
    /// Whether every form was tried, or those alone that a run takes here.
    pub is_whole: bool,
    /// Seconds that it took.
    pub seconds: f64,
    /// What was tried, by kernel and form.
    pub kernels: BTreeMap<String, Checked>,
    /// Gradients against differences of the loss, by network.
    pub slopes: BTreeMap<String, f64>,
    /// What is not right here.
    pub refused: Vec<Refused>,
}

/// A kernel in one form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// How many trials.
    pub trials: usize,
    /// The largest error, relative to a number's size or to that of its neighbours.
    pub error: f64,
    /// Seconds, those of compiling among them.
    pub seconds: f64,
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
}

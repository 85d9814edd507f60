//! How a batch norm works.

use crate::setters::setters;

/// How a batch norm works, apart from its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Norm {
    /// Added to the variance.
    pub eps: f32,
    /// The weight of a batch in the running statistics; all batches weigh the same if it is `None`.
    pub momentum: Option<f32>,
    /// Whether there are running statistics. Without any a test goes by its batch's own, rows of padding among it.
    pub tracks: bool,
    /// The most examples of a ghost batch (Hoffer et al. 2017): each has moments of its own in training. `None`: one for all.
    pub ghost: Option<usize>,
}

impl Norm {
    /// As torch's: with running statistics, in which a batch weighs 0.1.
    pub const fn new() -> Norm {
        Norm { eps: 1e-5, momentum: Some(0.1), tracks: true, ghost: None }
    }

    setters! {
        eps: f32,
        momentum: Option<f32>,
        tracks: bool,
        ghost: Option<usize>,
    }
}

impl Default for Norm {
    fn default() -> Norm {
        Norm::new()
    }
}

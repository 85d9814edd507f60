//! Laws: how a field moves from step to step. One law a file, each a pure function of the step.
//!
//! In every law here the group's base value is the highest one: laws move between it and a [`Level`] below. Only a
//! factor above 1 (`step`, `multi_step`, `exponential`, `multiplicative`, `lambda`) grows a value. The bounds are exact:
//! not even a rounding leads past them. Constructors refuse what would divide by zero or give a value that is negative
//! or not a number.
//!
//! # A law of your own
//!
//! A law is a type that implements [`Law`]; nothing else needs to know it. A milestone law that multiplies each group's
//! lr by gamma when an epoch is reached, and a law that grows the weight decay every n steps:
//!
//! ```
//! use gradus::params::{Field, Row};
//! use gradus::schedule::{FieldLaw, Law, rows};
//!
//! struct Milestones { gamma: f64, epochs: Vec<u64>, steps_per_epoch: u64 }
//!
//! impl Law for Milestones {
//!     fn value(&self, base: f64, step: u64) -> f64 {
//!         let epoch = step / self.steps_per_epoch;
//!         let passed = self.epochs.iter().filter(|milestone| epoch >= **milestone).count();
//!         base * self.gamma.powi(passed as i32)
//!     }
//! }
//!
//! struct Grow { gamma: f64, every: u64 }
//!
//! impl Law for Grow {
//!     fn value(&self, base: f64, step: u64) -> f64 {
//!         base * self.gamma.powf((step / self.every) as f64)
//!     }
//! }
//!
//! let groups = [Row::adamw(1.0).weight_decay(0.01), Row::adamw(0.5)];
//! let laws = [
//!     FieldLaw::new(Field::Lr, Milestones { gamma: 0.1, epochs: vec![2, 4], steps_per_epoch: 10 }),
//!     FieldLaw::new(Field::WeightDecay, Grow { gamma: 2.0, every: 20 }),
//! ];
//! let table = rows(&groups, &laws, 0, 50); // [steps, groups]
//! assert_eq!((table[2 * 19].lr, table[2 * 20].lr, table[2 * 20 + 1].lr), (1.0, 0.1, 0.05));
//! assert_eq!((table[2 * 19].weight_decay, table[2 * 40].weight_decay), (0.01, 0.04));
//! ```

mod better;
mod chained;
mod constant;
pub(in crate::schedule) mod cool_down;
mod cosine;
mod cosine_restarts;
mod cyclic;
mod exponential;
mod inverse_sqrt;
pub(in crate::schedule) mod lambda;
pub(in crate::schedule) mod level;
mod linear;
mod listed;
mod multi_step;
mod multiplicative;
mod one_cycle;
pub(in crate::schedule) mod own;
mod parts;
mod plateau;
mod polynomial;
mod sequential;
mod shape;
mod slanted_triangular;
mod step;
pub(in crate::schedule) mod stepper;
pub(in crate::schedule) mod table;
mod tanh;
pub(in crate::schedule) mod warm_up;
pub(in crate::schedule) mod words;
mod wsd;

pub use better::Better;
pub use chained::Chained;
pub use constant::Constant;
pub use cool_down::CoolDown;
pub use cosine::Cosine;
pub use cosine_restarts::CosineRestarts;
pub use cyclic::{Cyclic, CyclicMomentum, Mode};
pub use exponential::Exponential;
pub use inverse_sqrt::InverseSqrt;
pub use lambda::Lambda;
pub use level::Level;
pub use linear::Linear;
pub use listed::Listed;
pub use multi_step::MultiStep;
pub use multiplicative::Multiplicative;
pub use one_cycle::{Anneal, OneCycle, OneCycleMomentum};
pub use plateau::{Plateau, PlateauState, Reduced, Threshold};
pub use polynomial::Polynomial;
pub use sequential::Sequential;
pub use slanted_triangular::{SlantedTriangular, Slope};
pub use step::Step;
pub use tanh::Tanh;
pub use warm_up::{Ramp, Rise, WarmUp};
pub use wsd::{Decay, Phase, PhaseInfo, Wsd};

use words::Words;

/// The laws that files may name, in the order in which messages list them. Each is a file of this folder, which has the
/// law's short name, its keys, and how they become the law; nothing else needs to know it.
pub(in crate::schedule) const LAWS: &[&Words] = &[
    &constant::WORDS,
    &linear::WORDS,
    &polynomial::WORDS,
    &exponential::WORDS,
    &step::WORDS,
    &multi_step::WORDS,
    &multiplicative::WORDS,
    &cosine::WORDS,
    &cosine_restarts::WORDS,
    &cyclic::WORDS,
    &one_cycle::WORDS,
    &inverse_sqrt::WORDS,
    &tanh::WORDS,
    &slanted_triangular::WORDS,
    &wsd::WORDS,
    &plateau::WORDS,
    &sequential::WORDS,
    &chained::WORDS,
];

/// Their short names.
pub(in crate::schedule) const NAMES: [&str; LAWS.len()] = {
    let mut names = [""; LAWS.len()];
    let mut place = 0;
    while place < LAWS.len() {
        names[place] = LAWS[place].name;
        place += 1;
    }
    names
};

/// A law gives a field's value at a step, from the group's own base value.
pub trait Law: Send + Sync {
    /// The value at `step` (from 0) for a group with the base value `base`.
    fn value(&self, base: f64, step: u64) -> f64;

    /// Its decays, first to last, each by its first step and the step after its last; a model is usable after each.
    fn decays(&self) -> Vec<(u64, u64)> {
        Vec::new()
    }
}

impl<L: Law + ?Sized> Law for Box<L> {
    fn value(&self, base: f64, step: u64) -> f64 {
        (**self).value(base, step)
    }

    fn decays(&self) -> Vec<(u64, u64)> {
        (**self).decays()
    }
}

impl<L: Law + ?Sized> Law for &L {
    fn value(&self, base: f64, step: u64) -> f64 {
        (**self).value(base, step)
    }

    fn decays(&self) -> Vec<(u64, u64)> {
        (**self).decays()
    }
}

impl<L: Law + ?Sized> Law for std::sync::Arc<L> {
    fn value(&self, base: f64, step: u64) -> f64 {
        (**self).value(base, step)
    }

    fn decays(&self) -> Vec<(u64, u64)> {
        (**self).decays()
    }
}

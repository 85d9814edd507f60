//! Twins of `shaders/optim/rule`: the arithmetic of one element, a file a rule, and of `shaders/shared/update.wgsl`, which
//! is the same for every rule.

mod adadelta;
mod adafactor;
mod adagrad;
mod adamax;
mod adamp;
mod adamw;
mod adamw_schedulefree;
mod adan;
mod lamb;
mod lars;
mod lion;
mod muon;
mod nadam;
mod nadamw;
mod radam;
mod rmsprop;
mod sgd;
mod sgd_schedulefree;

pub use adadelta::Adadelta;
pub use adafactor::Adafactor;
pub use adagrad::Adagrad;
pub use adamax::Adamax;
pub use adamp::AdamP;
pub use adamw::AdamW;
pub use adamw_schedulefree::AdamWScheduleFree;
pub use adan::Adan;
pub use lamb::Lamb;
pub use lars::Lars;
pub use lion::Lion;
pub use muon::Muon;
pub use nadam::NAdam;
pub use nadamw::NAdamW;
pub use radam::RAdam;
pub use rmsprop::RmsProp;
pub use sgd::Sgd;
pub use sgd_schedulefree::SgdScheduleFree;

use crate::twin::shared::{Record, clamp_value};

/// One parameter and its state, a number a slot.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct Element<const SLOTS: usize> {
    pub p: f32,
    pub kept: [f32; SLOTS],
}

/// The arithmetic of a rule with so many slots.
pub trait Arithmetic<const SLOTS: usize> {
    /// The record with what the rule makes of it once a chunk.
    #[inline(always)]
    fn prepared(record: Record) -> Record {
        record
    }

    /// The step along a gradient that is clipped and has taken a coupled decay; the parameter has taken a decoupled one.
    fn stepped(record: &Record, g: f32, old: Element<SLOTS>) -> Element<SLOTS>;
}

/// The arithmetic of a rule that needs two sums over each tensor before its step.
pub trait Summed<const SLOTS: usize>: Arithmetic<SLOTS> {
    /// What an element adds to them, by a prepared record whose own sums are not there yet.
    fn terms(record: &Record, g: f32, old: Element<SLOTS>) -> [f32; 2];
}

/// The arithmetic of a rule that needs four sums over each row of a matrix before its step. The last number of what it sees
/// is the share of the element's row.
pub trait ByRows<const SEEN: usize>: Arithmetic<SEEN> {
    /// What an element adds to the sums of its row.
    fn row_terms(record: &Record, g: f32, old: Element<SEEN>) -> [f32; 4];

    /// Whether the sums of so many elements are such that there is a share.
    fn is_across(record: &Record, sums: [f32; 4], elements: f32) -> bool;

    /// The share.
    fn share(record: &Record, sums: [f32; 4]) -> f32;
}

/// The arithmetic of a rule that steps along a direction that is made orthogonal. Its update sees the direction where what
/// comes before sees the momentum.
pub trait Directed: Arithmetic<1> {
    /// The momentum and the direction before that.
    fn directed(record: &Record, g: f32, old: Element<1>) -> [f32; 2];
}

/// The arithmetic of a rule that keeps the rows and the columns of a matrix's second moment. Its prepared records have the rate
/// of that moment as their root's scale. Where it prepares a step, its sums over a tensor are means: of p² and of the
/// direction's square.
pub trait Factored: Arithmetic<1> {
    /// The second moment of a vector's element.
    fn second_moment(record: &Record, g: f32, v: f32) -> f32;

    /// The direction of an element with this second moment.
    fn direction(record: &Record, g: f32, v: f32) -> f32;
}

impl<const SLOTS: usize> Element<SLOTS> {
    /// Gradient and element as a rule finds them: clipped, decayed.
    #[inline(always)]
    pub(crate) fn met(self, record: &Record, value_bound: f32, gradient: f32) -> (f32, Element<SLOTS>) {
        let mut next = self;
        let mut g = gradient;
        if value_bound > 0.0 {
            g = clamp_value(g, value_bound);
        }
        g *= record.scale;
        if record.coupled_decay == 0.0 {
            next.p *= record.decay;
        } else {
            g += record.coupled_decay * self.p;
        }
        (g, next)
    }

    /// The step along a gradient, by a prepared record.
    #[must_use]
    #[inline(always)]
    pub fn updated<R: Arithmetic<SLOTS>>(self, record: &Record, value_bound: f32, gradient: f32) -> Element<SLOTS> {
        let (g, next) = self.met(record, value_bound, gradient);
        R::stepped(record, g, next)
    }
}

//! What is on or off in a row.

use crate::params::Row;
use std::fmt;

/// What a group's rule does or does not. A group keeps its switches, but for nesterov and maximize.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Switch {
    /// Divide by the largest second moment so far.
    Amsgrad,
    /// Step along the gradient plus momentum times the buffer.
    Nesterov,
    /// Climb instead of descend.
    Maximize,
    /// The variance stands in the second moment's place.
    Centered,
    /// Decay acts on the parameter instead of joining the gradient.
    DecoupledWeightDecay,
    /// Decay acts before the step instead of after it.
    NoProx,
    /// The trust ratio is 1 at most.
    TrustClip,
    /// The trust ratio counts without any decay too.
    AlwaysAdapt,
    /// The step is about as long as AdamW's.
    MatchRmsAdamw,
}

impl Switch {
    /// Its name in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Switch::Amsgrad => "amsgrad",
            Switch::Nesterov => "nesterov",
            Switch::Maximize => "maximize",
            Switch::Centered => "centered",
            Switch::DecoupledWeightDecay => "decoupled_weight_decay",
            Switch::NoProx => "no_prox",
            Switch::TrustClip => "trust_clip",
            Switch::AlwaysAdapt => "always_adapt",
            Switch::MatchRmsAdamw => "match_rms_adamw",
        }
    }

    /// Whether a class calls it so: timm's LAMB says `decoupled_decay`.
    pub(crate) fn is_called(self, name: &str) -> bool {
        self.name() == name || (self == Switch::DecoupledWeightDecay && name == "decoupled_decay")
    }

    /// Whether it is on.
    pub fn is_on(self, row: &Row) -> bool {
        match self {
            Switch::Amsgrad => row.amsgrad,
            Switch::Nesterov => row.nesterov,
            Switch::Maximize => row.maximize,
            Switch::Centered => row.centered,
            Switch::DecoupledWeightDecay => row.decoupled_weight_decay,
            Switch::NoProx => row.no_prox,
            Switch::TrustClip => row.trust_clip,
            Switch::AlwaysAdapt => row.always_adapt,
            Switch::MatchRmsAdamw => row.match_rms_adamw,
        }
    }

    /// The switch in a row, to be set.
    pub(crate) fn of(self, row: &mut Row) -> &mut bool {
        match self {
            Switch::Amsgrad => &mut row.amsgrad,
            Switch::Nesterov => &mut row.nesterov,
            Switch::Maximize => &mut row.maximize,
            Switch::Centered => &mut row.centered,
            Switch::DecoupledWeightDecay => &mut row.decoupled_weight_decay,
            Switch::NoProx => &mut row.no_prox,
            Switch::TrustClip => &mut row.trust_clip,
            Switch::AlwaysAdapt => &mut row.always_adapt,
            Switch::MatchRmsAdamw => &mut row.match_rms_adamw,
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

//! What a rule makes of a row, for the device.

use crate::params::Row;

/// The numbers of a row as a rule reads them, before they are formed into what the device reads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Numbers {
    /// Factor on the parameter; where decay is coupled, what the gradient takes of the parameter.
    pub(crate) decay: f64,
    pub(crate) is_coupled: bool,
    /// With 0 there is no bias to correct, and the step is lr itself.
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) eps: f64,
    pub(crate) momentum: f64,
    pub(crate) dampening: f64,
    /// The momentum rises with the count.
    pub(crate) is_rising: bool,
    /// Steps have weights in the average that is evaluated.
    pub(crate) is_weighted: bool,
    /// The step is as long as a trust ratio says.
    pub(crate) is_adapted: bool,
    /// That ratio is 1 at most.
    pub(crate) is_trust_clipped: bool,
    /// What the rule alone reads.
    pub(crate) own: [f64; 2],
}

impl Numbers {
    /// Decay joins the gradient.
    pub(crate) fn coupled(row: &Row) -> Numbers {
        Numbers {
            decay: row.weight_decay,
            is_coupled: true,
            beta1: row.beta1,
            beta2: row.beta2,
            eps: row.eps,
            ..Numbers::default()
        }
    }

    /// Decay acts on the parameter.
    pub(crate) fn decoupled(row: &Row) -> Numbers {
        Numbers { decay: 1.0 - row.lr * row.weight_decay, is_coupled: false, ..Numbers::coupled(row) }
    }

    /// With a trust ratio where something decays, or where a switch says so.
    pub(crate) fn with_trust(self, row: &Row) -> Numbers {
        let is_adapted = row.weight_decay != 0.0 || row.always_adapt;
        Numbers { is_adapted, is_trust_clipped: row.trust_clip, ..self }
    }

    /// As the row's switch says.
    pub(crate) fn of_either(row: &Row) -> Numbers {
        if row.decoupled_weight_decay { Numbers::decoupled(row) } else { Numbers::coupled(row) }
    }
}

/// The logarithm of a beta; e^-200 is 0 in f32, and so is beta^count for beta = 0.
pub(crate) fn log(beta: f64) -> f64 {
    beta.ln().max(-200.0)
}

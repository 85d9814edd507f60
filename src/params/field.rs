//! The fields of a row that a law may move.

use std::fmt;

/// A field of a row that a law may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// Learning rate.
    Lr,
    /// Weight decay.
    WeightDecay,
    /// Decay rate of the first moment.
    Beta1,
    /// Decay rate of the second moment.
    Beta2,
    /// Epsilon.
    Eps,
    /// Momentum of SGD and RMSprop.
    Momentum,
    /// Adan's decay rate of the second moment.
    Beta3,
    /// RMSprop's decay rate of the second moment.
    Alpha,
    /// Adadelta's decay rate of both moments.
    Rho,
    /// Adagrad's decay of the rate with the count.
    LrDecay,
    /// What Adagrad's sum begins with.
    InitialAccumulatorValue,
    /// How fast NAdam's momentum rises.
    MomentumDecay,
    /// What LARS multiplies its trust ratio by.
    TrustCoeff,
    /// How near to a right angle AdamP takes gradient and parameters to be at one.
    Delta,
    /// What AdamP multiplies the decay by where its step has no part along the parameters.
    WdRatio,
    /// Power of the count in a step's weight, of Schedule-Free.
    R,
    /// Power of the largest lr so far in a step's weight, of Schedule-Free.
    WeightLrPower,
    /// The power of the count that is Adafactor's rate of its second moment.
    Beta2Decay,
    /// What Adafactor takes for the root mean square of parameters that have a smaller one.
    Eps2,
    /// The largest root mean square of Adafactor's update.
    D,
    /// Largest norm of a step's gradients, one number for all groups.
    ClipNorm,
    /// Decay of the moving average of the parameters.
    EmaDecay,
}

impl Field {
    /// Whether it is part of the list `betas` in files and classes.
    pub(crate) fn is_beta(self) -> bool {
        matches!(self, Field::Beta1 | Field::Beta2 | Field::Beta3)
    }

    /// Every field of every rule; [`Row::fields`](super::Row::fields) gives those that a row has.
    pub const ALL: [Field; 22] = [
        Field::Lr,
        Field::WeightDecay,
        Field::Beta1,
        Field::Beta2,
        Field::Eps,
        Field::Momentum,
        Field::Beta3,
        Field::Alpha,
        Field::Rho,
        Field::LrDecay,
        Field::InitialAccumulatorValue,
        Field::MomentumDecay,
        Field::TrustCoeff,
        Field::Delta,
        Field::WdRatio,
        Field::R,
        Field::WeightLrPower,
        Field::Beta2Decay,
        Field::Eps2,
        Field::D,
        Field::ClipNorm,
        Field::EmaDecay,
    ];

    /// Its name in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Field::Lr => "lr",
            Field::WeightDecay => "weight_decay",
            Field::Beta1 => "beta1",
            Field::Beta2 => "beta2",
            Field::Eps => "eps",
            Field::Momentum => "momentum",
            Field::Beta3 => "beta3",
            Field::Alpha => "alpha",
            Field::Rho => "rho",
            Field::LrDecay => "lr_decay",
            Field::InitialAccumulatorValue => "initial_accumulator_value",
            Field::MomentumDecay => "momentum_decay",
            Field::TrustCoeff => "trust_coeff",
            Field::Delta => "delta",
            Field::WdRatio => "wd_ratio",
            Field::R => "r",
            Field::WeightLrPower => "weight_lr_power",
            Field::Beta2Decay => "beta2_decay",
            Field::Eps2 => "eps2",
            Field::D => "d",
            Field::ClipNorm => "clip_norm",
            Field::EmaDecay => "ema_decay",
        }
    }

    /// Whether the field may have this value, as the device sees it, in f32.
    pub fn allows(self, value: f64) -> bool {
        match self {
            Field::Beta1 | Field::Beta2 | Field::Beta3 => (0.0..1.0).contains(&value),
            Field::Alpha | Field::Rho => (0.0..=1.0).contains(&value),
            Field::ClipNorm | Field::D => (value as f32).is_finite() && value as f32 > 0.0,
            Field::Beta2Decay => (value as f32).is_finite() && value <= 0.0,
            Field::EmaDecay => (0.0..=1.0).contains(&value),
            _ => (value as f32).is_finite() && value >= 0.0,
        }
    }

    /// What [`allows`](Field::allows) allows, for messages: "… is not …".
    pub fn allowed(self) -> &'static str {
        match self {
            Field::Beta1 | Field::Beta2 | Field::Beta3 => "in [0, 1)",
            Field::Alpha | Field::Rho => "in [0, 1]",
            Field::ClipNorm | Field::D => "a finite number above 0",
            Field::Beta2Decay => "a finite number that is 0 or less",
            Field::EmaDecay => "in [0, 1]",
            _ => "a finite number that is 0 or more",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

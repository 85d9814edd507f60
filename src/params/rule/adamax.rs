//! Adamax.

use super::{Declaration, PLAIN};
use crate::params::Field;

pub(super) const ADAMAX: Declaration = Declaration {
    name: "adamax",
    title: "Adamax",
    classes: &["torch.optim.Adamax"],
    kernel: "adamax",
    fields: &[
        (Field::Lr, 2e-3),
        (Field::WeightDecay, 0.0),
        (Field::Beta1, 0.9),
        (Field::Beta2, 0.999),
        (Field::Eps, 1e-8),
    ],
    slots: &["exp_avg", "exp_inf"],
    ..PLAIN
};

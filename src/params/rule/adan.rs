//! Adan. It counts steps a tensor, timm a group.

use super::numbers::log;
use super::{Declaration, Numbers, PLAIN, Switch};
use crate::params::{Field, Row};

pub(super) const ADAN: Declaration = Declaration {
    name: "adan",
    title: "Adan",
    classes: &["timm.optim.Adan"],
    kernel: "adan",
    text: include_str!("../../../shaders/optim/rule/adan.wgsl"),
    differences: &["steps are counted for each tensor, by the class for each group"],
    fields: &[
        (Field::Lr, 1e-3),
        (Field::WeightDecay, 0.0),
        (Field::Beta1, 0.98),
        (Field::Beta2, 0.92),
        (Field::Beta3, 0.99),
        (Field::Eps, 1e-8),
    ],
    switches: &[Switch::NoProx, Switch::Maximize],
    slots: &["exp_avg", "exp_avg_sq", "exp_avg_diff", "neg_pre_grad"],
    keeps_average: false,
    numbers,
    ..PLAIN
};

/// beta3 stands in beta2's place, and beta2 in a momentum's.
fn numbers(row: &Row) -> Numbers {
    let decay = row.lr * row.weight_decay;
    let (before, after) = if row.no_prox { (1.0 - decay, 1.0) } else { (1.0, 1.0 / (1.0 + decay)) };
    Numbers {
        decay: before,
        is_coupled: false,
        beta2: row.beta3,
        momentum: row.beta2,
        dampening: row.beta2,
        own: [after, log(row.beta2)],
        ..Numbers::coupled(row)
    }
}

//! Schedule-Free AdamW.

use super::{Declaration, Numbers, PLAIN};
use crate::params::{Field, Row};

/// What both rules differ in from their classes.
pub(super) const DIFFERENCES: &[&str] = &[
    "x is kept rather than made of p and z for an evaluation, so that a run has the same bits however often it is evaluated: \
     4 bytes of state and 8 of a step",
    "steps and weights are counted for each tensor, by the class for each group",
    "warmup_steps is a law: lr_scheduler: {type: constant, warmup_steps: 100}",
];

pub(super) const ADAMW_SCHEDULEFREE: Declaration = Declaration {
    name: "adamw_schedulefree",
    title: "Schedule-Free AdamW",
    classes: &["schedulefree.AdamWScheduleFree"],
    kernel: "adamw_schedulefree",
    text: include_str!("../../../shaders/optim/rule/adamw_schedulefree.wgsl"),
    differences: DIFFERENCES,
    fields: &[
        (Field::Lr, 2.5e-3),
        (Field::WeightDecay, 0.0),
        (Field::Beta1, 0.9),
        (Field::Beta2, 0.999),
        (Field::Eps, 1e-8),
        (Field::R, 0.0),
        (Field::WeightLrPower, 2.0),
    ],
    slots: &["z", "exp_avg_sq", "x"],
    evaluated: Some(2),
    carried: &["weight_sum", "lr_max"],
    keeps_average: false,
    numbers,
    ..PLAIN
};

/// Decay joins the step once the gradient is divided.
fn numbers(row: &Row) -> Numbers {
    let own = [row.r, row.weight_lr_power];
    let momentum = row.weight_decay;
    Numbers { decay: 1.0, is_coupled: false, is_weighted: true, momentum, own, ..Numbers::coupled(row) }
}

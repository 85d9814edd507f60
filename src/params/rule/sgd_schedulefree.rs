//! Schedule-Free SGD.

use super::adamw_schedulefree::DIFFERENCES;
use super::{Declaration, Numbers, PLAIN};
use crate::params::{Field, Row};

pub(super) const SGD_SCHEDULEFREE: Declaration = Declaration {
    name: "sgd_schedulefree",
    title: "Schedule-Free SGD",
    classes: &["schedulefree.SGDScheduleFree"],
    kernel: "sgd_schedulefree",
    text: include_str!("../../../shaders/optim/rule/sgd_schedulefree.wgsl"),
    differences: DIFFERENCES,
    fields: &[
        (Field::Lr, 1.0),
        (Field::WeightDecay, 0.0),
        (Field::Momentum, 0.9),
        (Field::R, 0.0),
        (Field::WeightLrPower, 2.0),
    ],
    slots: &["z", "x"],
    evaluated: Some(1),
    carried: &["weight_sum", "lr_max"],
    keeps_average: false,
    numbers,
    ..PLAIN
};

fn numbers(row: &Row) -> Numbers {
    let own = [row.r, row.weight_lr_power];
    Numbers { is_weighted: true, beta1: row.momentum, beta2: 0.0, own, ..Numbers::coupled(row) }
}

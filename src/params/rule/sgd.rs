//! SGD. The buffer is there without momentum too, so that a schedule may bring the momentum up from 0.

use super::{Declaration, Numbers, PLAIN, Switch};
use crate::params::{Field, Row};

pub(super) const SGD: Declaration = Declaration {
    name: "sgd",
    title: "SGD",
    classes: &["torch.optim.SGD"],
    kernel: "sgd",
    text: include_str!("../../../shaders/optim/rule/sgd.wgsl"),
    differences: &[
        "the buffer is there without momentum too, so that a law may bring the momentum up from 0",
        "a file of its state has step too; one without is read",
    ],
    fields: &[(Field::Lr, 1e-3), (Field::WeightDecay, 0.0), (Field::Momentum, 0.0)],
    switches: &[Switch::Nesterov, Switch::Maximize],
    slots: &["momentum_buffer"],
    has_dampening: true,
    numbers,
    ..PLAIN
};

fn numbers(row: &Row) -> Numbers {
    Numbers { beta1: 0.0, beta2: 0.0, momentum: row.momentum, dampening: row.dampening, ..Numbers::coupled(row) }
}

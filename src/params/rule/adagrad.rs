//! Adagrad.

use super::{Declaration, Numbers, PLAIN};
use crate::params::{Field, Row};

pub(super) const ADAGRAD: Declaration = Declaration {
    name: "adagrad",
    title: "Adagrad",
    classes: &["torch.optim.Adagrad"],
    kernel: "adagrad",
    text: include_str!("../../../shaders/optim/rule/adagrad.wgsl"),
    differences: &["initial_accumulator_value of a group counts: the class ignores it there"],
    fields: &[
        (Field::Lr, 1e-2),
        (Field::WeightDecay, 0.0),
        (Field::LrDecay, 0.0),
        (Field::InitialAccumulatorValue, 0.0),
        (Field::Eps, 1e-10),
    ],
    slots: &["sum"],
    numbers,
    ..PLAIN
};

fn numbers(row: &Row) -> Numbers {
    let own = [row.lr_decay, row.initial_accumulator_value];
    Numbers { beta1: 0.0, beta2: 0.0, own, ..Numbers::coupled(row) }
}

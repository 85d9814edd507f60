//! Adadelta.

use super::{Declaration, Numbers, PLAIN};
use crate::params::{Field, Row};

pub(super) const ADADELTA: Declaration = Declaration {
    name: "adadelta",
    title: "Adadelta",
    classes: &["torch.optim.Adadelta"],
    kernel: "adadelta",
    text: include_str!("../../../shaders/optim/rule/adadelta.wgsl"),
    fields: &[(Field::Lr, 1.0), (Field::WeightDecay, 0.0), (Field::Rho, 0.9), (Field::Eps, 1e-6)],
    slots: &["square_avg", "acc_delta"],
    numbers,
    ..PLAIN
};

fn numbers(row: &Row) -> Numbers {
    Numbers { beta1: 0.0, beta2: row.rho, ..Numbers::coupled(row) }
}

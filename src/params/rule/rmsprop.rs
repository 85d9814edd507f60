//! RMSprop. The buffer is there without momentum too, as SGD's is.

use super::{Declaration, Numbers, PLAIN, Switch};
use crate::params::{Field, Row};

pub(super) const RMSPROP: Declaration = Declaration {
    name: "rmsprop",
    title: "RMSprop",
    classes: &["torch.optim.RMSprop"],
    kernel: "rmsprop",
    text: include_str!("../../../shaders/optim/rule/rmsprop.wgsl"),
    differences: &["the buffer is there without momentum too, so that a law may bring the momentum up from 0"],
    fields: &[
        (Field::Lr, 1e-2),
        (Field::WeightDecay, 0.0),
        (Field::Alpha, 0.99),
        (Field::Eps, 1e-8),
        (Field::Momentum, 0.0),
    ],
    switches: &[Switch::Centered, Switch::Maximize],
    slots: &["square_avg", "momentum_buffer"],
    optional_slot: Some((Switch::Centered, "grad_avg")),
    numbers,
    ..PLAIN
};

fn numbers(row: &Row) -> Numbers {
    Numbers { beta1: 0.0, beta2: row.alpha, momentum: row.momentum, ..Numbers::coupled(row) }
}

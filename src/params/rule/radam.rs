//! RAdam.

use super::numbers::log;
use super::{Declaration, Numbers, PLAIN, Switch};
use crate::params::{Field, Row};

pub(super) const RADAM: Declaration = Declaration {
    name: "radam",
    title: "RAdam",
    classes: &["torch.optim.RAdam"],
    kernel: "radam",
    fields: &[
        (Field::Lr, 1e-3),
        (Field::WeightDecay, 0.0),
        (Field::Beta1, 0.9),
        (Field::Beta2, 0.999),
        (Field::Eps, 1e-8),
    ],
    switches: &[Switch::DecoupledWeightDecay, Switch::Maximize],
    slots: &["exp_avg", "exp_avg_sq"],
    numbers,
    ..PLAIN
};

fn numbers(row: &Row) -> Numbers {
    Numbers { own: [log(row.beta2), 0.0], ..Numbers::of_either(row) }
}

//! NAdam.

use super::{Declaration, Numbers, PLAIN, Switch};
use crate::params::{Field, Row};

pub(super) const NADAM: Declaration = Declaration {
    name: "nadam",
    title: "NAdam",
    classes: &["torch.optim.NAdam"],
    kernel: "nadam",
    text: include_str!("../../../shaders/optim/rule/nadam.wgsl"),
    fields: &[
        (Field::Lr, 2e-3),
        (Field::WeightDecay, 0.0),
        (Field::Beta1, 0.9),
        (Field::Beta2, 0.999),
        (Field::Eps, 1e-8),
        (Field::MomentumDecay, 4e-3),
    ],
    switches: &[Switch::DecoupledWeightDecay, Switch::Maximize],
    slots: &["exp_avg", "exp_avg_sq"],
    carried: &["mu_product"],
    numbers,
    ..PLAIN
};

fn numbers(row: &Row) -> Numbers {
    let own = [row.momentum_decay * 0.96f64.ln(), 0.0];
    Numbers { is_rising: true, own, ..Numbers::of_either(row) }
}

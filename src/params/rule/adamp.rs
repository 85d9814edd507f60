//! AdamP.

use super::{Declaration, Numbers, PLAIN, Sums, Switch, with_betas};
use crate::params::{Field, Row};

const BETAS: [(Field, f64); 5] = with_betas(1e-3, 0.0);

pub(super) const ADAMP: Declaration = Declaration {
    name: "adamp",
    title: "AdamP",
    classes: &["timm.optim.AdamP"],
    kernel: "adamp",
    text: include_str!("../../../shaders/optim/rule/adamp.wgsl"),
    differences: &["there is no caution"],
    fields: &[BETAS[0], BETAS[1], BETAS[2], BETAS[3], BETAS[4], (Field::Delta, 0.1), (Field::WdRatio, 0.1)],
    switches: &[Switch::Nesterov, Switch::Maximize],
    slots: &["exp_avg", "exp_avg_sq"],
    sums: Some(Sums::OverRows),
    keeps_average: false,
    numbers,
    ..PLAIN
};

/// Decay acts on the parameter once it is known what the step loses.
fn numbers(row: &Row) -> Numbers {
    let momentum = row.lr * row.weight_decay;
    Numbers { decay: 1.0, is_coupled: false, momentum, own: [row.delta, row.wd_ratio], ..Numbers::coupled(row) }
}

//! RAdam.

use super::numbers::log;
use super::{Declaration, Numbers, PLAIN, Switch, with_betas};
use crate::params::Row;

pub(super) const RADAM: Declaration = Declaration {
    name: "radam",
    title: "RAdam",
    classes: &["torch.optim.RAdam"],
    kernel: "radam",
    text: include_str!("../../../shaders/optim/rule/radam.wgsl"),
    fields: &with_betas(1e-3, 0.0),
    switches: &[Switch::DecoupledWeightDecay, Switch::Maximize],
    slots: &["exp_avg", "exp_avg_sq"],
    numbers,
    ..PLAIN
};

fn numbers(row: &Row) -> Numbers {
    Numbers { own: [log(row.beta2), 0.0], ..Numbers::of_either(row) }
}

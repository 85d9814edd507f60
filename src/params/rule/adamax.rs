//! Adamax.

use super::{Declaration, PLAIN, with_betas};

pub(super) const ADAMAX: Declaration = Declaration {
    name: "adamax",
    title: "Adamax",
    classes: &["torch.optim.Adamax"],
    kernel: "adamax",
    text: include_str!("../../../shaders/optim/rule/adamax.wgsl"),
    fields: &with_betas(2e-3, 0.0),
    slots: &["exp_avg", "exp_inf"],
    ..PLAIN
};

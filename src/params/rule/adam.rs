//! Adam, with decay that joins the gradient. Its kernel is AdamW's.

use super::{Declaration, PLAIN, Switch, with_betas};
use crate::params::Storage;

pub(super) const ADAM: Declaration = Declaration {
    name: "adam",
    title: "Adam",
    classes: &["torch.optim.Adam"],
    kernel: "adamw",
    text: include_str!("../../../shaders/optim/rule/adamw.wgsl"),
    fields: &with_betas(1e-3, 0.0),
    switches: &[Switch::Amsgrad, Switch::Maximize],
    slots: &["exp_avg", "exp_avg_sq"],
    optional_slot: Some((Switch::Amsgrad, "max_exp_avg_sq")),
    storages: &Storage::ALL,
    stores_bf16: true,
    ..PLAIN
};

//! NAdamW.

use super::{Declaration, Numbers, PLAIN, with_betas};
use crate::params::Storage;

pub(super) const NADAMW: Declaration = Declaration {
    name: "nadamw",
    title: "NAdamW",
    classes: &["timm.optim.NAdamW"],
    kernel: "nadamw",
    text: include_str!("../../../shaders/optim/rule/nadamw.wgsl"),
    fields: &with_betas(1e-3, 0.01),
    slots: &["exp_avg", "exp_avg_sq"],
    storages: &[Storage::F32, Storage::Bf16],
    stores_bf16: true,
    numbers: Numbers::decoupled,
    ..PLAIN
};

//! Lion.

use super::{Declaration, Numbers, PLAIN};
use crate::params::{Field, Storage};

pub(super) const LION: Declaration = Declaration {
    name: "lion",
    title: "Lion",
    classes: &["timm.optim.Lion"],
    kernel: "lion",
    text: include_str!("../../../shaders/optim/rule/lion.wgsl"),
    fields: &[(Field::Lr, 1e-4), (Field::WeightDecay, 0.0), (Field::Beta1, 0.9), (Field::Beta2, 0.99)],
    slots: &["exp_avg"],
    storages: &[Storage::F32, Storage::Bf16],
    stores_bf16: true,
    numbers: Numbers::decoupled,
    ..PLAIN
};

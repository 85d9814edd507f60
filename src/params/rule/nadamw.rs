//! NAdamW.

use super::{Declaration, Numbers, PLAIN};
use crate::params::{Field, Storage};

pub(super) const NADAMW: Declaration = Declaration {
    name: "nadamw",
    title: "NAdamW",
    classes: &["timm.optim.NAdamW"],
    kernel: "nadamw",
    fields: &[
        (Field::Lr, 1e-3),
        (Field::WeightDecay, 0.01),
        (Field::Beta1, 0.9),
        (Field::Beta2, 0.999),
        (Field::Eps, 1e-8),
    ],
    slots: &["exp_avg", "exp_avg_sq"],
    storages: &[Storage::F32, Storage::Bf16],
    stores_bf16: true,
    numbers: Numbers::decoupled,
    ..PLAIN
};

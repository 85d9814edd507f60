//! AdamW.

use super::{Declaration, Numbers, PLAIN, Switch};
use crate::params::{Field, Storage};

pub(super) const ADAMW: Declaration = Declaration {
    name: "adamw",
    title: "AdamW",
    classes: &["torch.optim.AdamW"],
    kernel: "adamw",
    fields: &[
        (Field::Lr, 1e-3),
        (Field::WeightDecay, 0.01),
        (Field::Beta1, 0.9),
        (Field::Beta2, 0.999),
        (Field::Eps, 1e-8),
    ],
    switches: &[Switch::Amsgrad, Switch::Maximize],
    slots: &["exp_avg", "exp_avg_sq"],
    optional_slot: Some((Switch::Amsgrad, "max_exp_avg_sq")),
    storages: &Storage::ALL,
    stores_bf16: true,
    numbers: Numbers::decoupled,
    ..PLAIN
};

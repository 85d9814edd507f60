//! LAMB.

use super::{Declaration, Numbers, PLAIN, Sums, Switch, log};
use crate::params::{Field, Row};

pub(super) const LAMB: Declaration = Declaration {
    name: "lamb",
    title: "LAMB",
    classes: &["timm.optim.Lamb"],
    kernel: "lamb",
    text: include_str!("../../../shaders/optim/rule/lamb.wgsl"),
    differences: &[
        "steps are counted for each tensor, by the class for each group",
        "gradients are clipped where clip_norm says so: the class's max_grad_norm of 1.0 is clip_norm: 1.0",
        "grad_averaging and bias_correction are always on",
    ],
    fields: &[
        (Field::Lr, 1e-3),
        (Field::WeightDecay, 0.01),
        (Field::Beta1, 0.9),
        (Field::Beta2, 0.999),
        (Field::Eps, 1e-6),
    ],
    switches: &[Switch::TrustClip, Switch::AlwaysAdapt, Switch::DecoupledWeightDecay, Switch::Maximize],
    slots: &["exp_avg", "exp_avg_sq"],
    sums: Some(Sums::WithState),
    numbers,
    ..PLAIN
};

/// What decay there is acts in the step, or on the parameter before.
fn numbers(row: &Row) -> Numbers {
    let (decay, in_step) = match row.decoupled_weight_decay {
        true => (1.0 - row.lr * row.weight_decay, 0.0),
        false => (1.0, row.weight_decay),
    };
    let own = [in_step, log(row.beta1)];
    Numbers { decay, is_coupled: false, own, ..Numbers::coupled(row) }.with_trust(row)
}

//! LARS. The buffer is there without momentum too, as SGD's is.

use super::{Declaration, Numbers, PLAIN, Sums, Switch};
use crate::params::{Field, Row};

pub(super) const LARS: Declaration = Declaration {
    name: "lars",
    title: "LARS",
    classes: &["timm.optim.Lars"],
    kernel: "lars",
    text: include_str!("../../../shaders/optim/rule/lars.wgsl"),
    differences: &["the buffer is there without momentum too, so that a law may bring the momentum up from 0"],
    fields: &[
        (Field::Lr, 1.0),
        (Field::WeightDecay, 0.0),
        (Field::Momentum, 0.0),
        (Field::TrustCoeff, 1e-3),
        (Field::Eps, 1e-8),
    ],
    switches: &[Switch::TrustClip, Switch::AlwaysAdapt, Switch::Nesterov, Switch::Maximize],
    slots: &["momentum_buffer"],
    sums: Some(Sums::OfValues),
    has_dampening: true,
    numbers,
    ..PLAIN
};

/// Decay joins the gradient once the gradient's norm is known.
fn numbers(row: &Row) -> Numbers {
    let own = [row.trust_coeff, row.weight_decay];
    let (momentum, dampening) = (row.momentum, row.dampening);
    let numbers = Numbers { decay: 1.0, is_coupled: false, beta1: 0.0, beta2: 0.0, eps: row.eps, ..Numbers::default() };
    Numbers { momentum, dampening, own, ..numbers }.with_trust(row)
}

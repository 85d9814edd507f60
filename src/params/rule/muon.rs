//! Muon.

use super::{Declaration, Numbers, PLAIN, Sums, Switch};
use crate::params::{Field, Row};

pub(super) const MUON: Declaration = Declaration {
    name: "muon",
    title: "Muon",
    classes: &["torch.optim.Muon"],
    kernel: "muon",
    text: include_str!("../../../shaders/optim/rule/muon.wgsl"),
    differences: &[
        "matrices are multiplied in f32, by the class in bf16",
        "ns_steps and ns_coefficients are always the class's own",
        "adjust_lr_fn is original, or match_rms_adamw by the switch of that name; there is no spectral_unclamped",
        "directions stand beside the buffer on the device, 8 bytes a parameter, and are not saved",
    ],
    fields: &[(Field::Lr, 1e-3), (Field::WeightDecay, 0.1), (Field::Momentum, 0.95), (Field::Eps, 1e-7)],
    switches: &[Switch::Nesterov, Switch::MatchRmsAdamw, Switch::Maximize],
    begins_with: &[Switch::Nesterov],
    slots: &["momentum_buffer"],
    sums: Some(Sums::WithState),
    needs_matrices: true,
    numbers,
    ..PLAIN
};

fn numbers(row: &Row) -> Numbers {
    let decay = 1.0 - row.lr * row.weight_decay;
    Numbers { decay, is_coupled: false, eps: row.eps, momentum: row.momentum, ..Numbers::default() }
}

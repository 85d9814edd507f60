//! Adafactor.

use super::{Declaration, Numbers, PLAIN, Sums};
use crate::params::{Field, Row};

pub(super) const ADAFACTOR: Declaration = Declaration {
    name: "adafactor",
    title: "Adafactor",
    classes: &["torch.optim.Adafactor"],
    kernel: "adafactor",
    text: include_str!("../../../shaders/optim/rule/adafactor.wgsl"),
    differences: &[
        "the class's eps is a pair: eps, whose None is that of f32, and eps2",
        "d may be below 1, which the class allows in a group alone",
    ],
    fields: &[
        (Field::Lr, 1e-2),
        (Field::WeightDecay, 0.0),
        (Field::Beta2Decay, -0.8),
        (Field::Eps, f32::EPSILON as f64),
        (Field::Eps2, 1e-3),
        (Field::D, 1.0),
    ],
    slots: &["row_var", "col_var", "variance"],
    sums: Some(Sums::Factored),
    numbers,
    ..PLAIN
};

/// The second epsilon stands in a momentum's place.
fn numbers(row: &Row) -> Numbers {
    let decay = 1.0 - row.lr * row.weight_decay;
    let own = [row.d, row.beta2_decay];
    Numbers { decay, is_coupled: false, eps: row.eps, momentum: row.eps2, own, ..Numbers::default() }
}

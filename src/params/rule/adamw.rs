//! AdamW: Adam, with decay that acts on the parameter.

use super::adam::ADAM;
use super::{Declaration, Numbers, with_betas};

pub(super) const ADAMW: Declaration = Declaration {
    name: "adamw",
    title: "AdamW",
    classes: &["torch.optim.AdamW"],
    fields: &with_betas(1e-3, 0.01),
    numbers: Numbers::decoupled,
    ..ADAM
};

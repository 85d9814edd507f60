//! Twin of `shaders/optim/rule/adadelta.wgsl`.

use super::{Arithmetic, Element};
use crate::twin::shared::Record;

/// Adadelta.
#[derive(Debug)]
pub struct Adadelta;

impl Arithmetic<2> for Adadelta {
    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [v, u] }: Element<2>) -> Element<2> {
        let v = record.beta2 * v + (record.one_minus_beta2 * g) * g;
        let d = (u + record.eps).sqrt() / (v + record.eps).sqrt() * g;
        let u = record.beta2 * u + (record.one_minus_beta2 * d) * d;
        Element { p: p - record.lr * d, kept: [v, u] }
    }
}

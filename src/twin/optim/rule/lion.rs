//! Twin of `shaders/optim/rule/lion.wgsl`.

use super::{Arithmetic, Element};
use crate::twin::shared::Record;

/// Lion.
#[derive(Debug)]
pub struct Lion;

/// 0 of 0, unlike `f32::signum`.
fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}

impl Arithmetic<1> for Lion {
    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [m] }: Element<1>) -> Element<1> {
        let p = p - record.lr * sign(m + record.one_minus_beta1 * (g - m));
        Element { p, kept: [m + record.one_minus_beta2 * (g - m)] }
    }
}

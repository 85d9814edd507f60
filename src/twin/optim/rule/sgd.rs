//! Twin of `shaders/optim/rule/sgd.wgsl`.

use super::{Arithmetic, Element};
use crate::twin::shared::{NESTEROV, Record};

/// SGD.
#[derive(Debug)]
pub struct Sgd;

impl Arithmetic<1> for Sgd {
    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [mut b] }: Element<1>) -> Element<1> {
        let mut direction = g;
        if record.momentum != 0.0 {
            b = if record.buffered > 1 { record.momentum * b + record.one_minus_dampening * g } else { g };
            direction = if record.flags & NESTEROV != 0 { g + record.momentum * b } else { b };
        }
        Element { p: p - record.step_size * direction, kept: [b] }
    }
}

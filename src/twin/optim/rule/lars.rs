//! Twin of `shaders/optim/rule/lars.wgsl`.

use super::{Arithmetic, Element, Summed};
use crate::twin::shared::{ADAPTED, NESTEROV, Record, TRUST_CLIPPED};

/// LARS.
#[derive(Debug)]
pub struct Lars;

impl Arithmetic<1> for Lars {
    #[inline(always)]
    fn prepared(record: Record) -> Record {
        if record.flags & ADAPTED == 0 {
            return Record { own0: 1.0, ..record };
        }
        let norm = record.sum_a.sqrt();
        let ratio = match record.sum_a > 0.0 && record.sum_b > 0.0 {
            true => record.own0 * norm / (record.sum_b.sqrt() + norm * record.own1 + record.eps),
            false => 1.0,
        };
        let is_clipped = record.flags & TRUST_CLIPPED != 0;
        Record { own0: if is_clipped { (ratio / record.lr).min(1.0) } else { ratio }, ..record }
    }

    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [mut b] }: Element<1>) -> Element<1> {
        let d = record.own0 * (g + record.own1 * p);
        let mut along = d;
        if record.momentum != 0.0 {
            b = if record.buffered > 1 { record.momentum * b + record.one_minus_dampening * d } else { d };
            along = if record.flags & NESTEROV != 0 { d + record.momentum * b } else { b };
        }
        Element { p: p - record.lr * along, kept: [b] }
    }
}

impl Summed<1> for Lars {
    #[inline(always)]
    fn terms(_: &Record, g: f32, Element { p, .. }: Element<1>) -> [f32; 2] {
        [p * p, g * g]
    }
}

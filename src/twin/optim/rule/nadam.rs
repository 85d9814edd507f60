//! Twin of `shaders/optim/rule/nadam.wgsl`.

use super::{Arithmetic, Element};
use crate::twin::shared::Record;

/// NAdam.
#[derive(Debug)]
pub struct NAdam;

impl Arithmetic<2> for NAdam {
    #[inline(always)]
    fn prepared(record: Record) -> Record {
        let beta1 = 1.0 - record.one_minus_beta1;
        let momentum = |count: u32| beta1 * (1.0 - 0.5 * (count as f32 * record.own0).exp());
        let (now, coming) = (momentum(record.count), momentum(record.count + 1));
        Record {
            own0: record.lr * (1.0 - now) / (1.0 - record.carried),
            own1: record.lr * coming / (1.0 - record.carried * coming),
            ..record
        }
    }

    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [m, v] }: Element<2>) -> Element<2> {
        let m = m + record.one_minus_beta1 * (g - m);
        let v = record.beta2 * v + (record.one_minus_beta2 * g) * g;
        let d = v.sqrt() * record.root_scale + record.eps;
        Element { p: p - record.own0 * (g / d) - record.own1 * (m / d), kept: [m, v] }
    }
}

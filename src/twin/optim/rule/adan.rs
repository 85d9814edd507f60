//! Twin of `shaders/optim/rule/adan.wgsl`.

use super::{Arithmetic, Element};
use crate::twin::shared::{Record, one_minus_exp};

/// Adan.
#[derive(Debug)]
pub struct Adan;

impl Arithmetic<4> for Adan {
    #[inline(always)]
    fn prepared(record: Record) -> Record {
        let own1 = record.lr * record.momentum / one_minus_exp(record.count as f32 * record.own1);
        Record { own1, ..record }
    }

    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [m, n, u, before] }: Element<4>) -> Element<4> {
        let d = if record.count > 1 { g + before } else { 0.0 };
        let both = g + record.momentum * d;
        let m = m + record.one_minus_beta1 * (g - m);
        let n = record.beta2 * n + (record.one_minus_beta2 * both) * both;
        let u = record.momentum * u + record.one_minus_dampening * d;
        let e = n.sqrt() * record.root_scale + record.eps;
        let p = (p - record.step_size * (m / e) - record.own1 * (u / e)) * record.own0;
        Element { p, kept: [m, n, u, -g] }
    }
}

//! Twin of `shaders/optim/rule/adamw_schedulefree.wgsl`.

use super::{Arithmetic, Element};
use crate::twin::shared::{Record, lerp, step_share};

/// Schedule-Free AdamW.
#[derive(Debug)]
pub struct AdamWScheduleFree;

impl Arithmetic<3> for AdamWScheduleFree {
    #[inline(always)]
    fn prepared(record: Record) -> Record {
        Record { own0: step_share(&record), ..record }
    }

    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [z, v, x] }: Element<3>) -> Element<3> {
        let [z, x] = if record.count == 1 { [p; 2] } else { [z, x] };
        let v = record.beta2 * v + (record.one_minus_beta2 * g) * g;
        let d = g / (v.sqrt() * record.root_scale + record.eps) + record.momentum * p;
        let z = z - record.lr * d;
        let x = lerp(x, z, record.own0);
        Element { p: x + record.one_minus_beta1 * (z - x), kept: [z, v, x] }
    }
}

//! Twin of `shaders/optim/rule/adamw_schedulefree.wgsl`.

use super::{Arithmetic, Element};
use crate::twin::shared::{Record, moved, step_share};

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
        let v = record.beta2 * v + (record.one_minus_beta2 * g) * g;
        let d = g / (v.sqrt() * record.root_scale + record.eps) + record.momentum * p;
        let [z, x, p] = moved(record, d, [z, x, p]);
        Element { p, kept: [z, v, x] }
    }
}

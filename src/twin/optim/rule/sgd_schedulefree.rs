//! Twin of `shaders/optim/rule/sgd_schedulefree.wgsl`.

use super::{Arithmetic, Element};
use crate::twin::shared::{Record, lerp, step_share};

/// Schedule-Free SGD.
#[derive(Debug)]
pub struct SgdScheduleFree;

impl Arithmetic<2> for SgdScheduleFree {
    #[inline(always)]
    fn prepared(record: Record) -> Record {
        Record { own0: step_share(&record), ..record }
    }

    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [z, x] }: Element<2>) -> Element<2> {
        let [z, x] = if record.count == 1 { [p; 2] } else { [z, x] };
        let z = z - record.lr * g;
        let x = lerp(x, z, record.own0);
        Element { p: x + record.one_minus_beta1 * (z - x), kept: [z, x] }
    }
}

//! Twin of `shaders/optim/rule/sgd_schedulefree.wgsl`.

use super::{Arithmetic, Element};
use crate::twin::shared::{Record, moved, step_share};

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
        let [z, x, p] = moved(record, g, [z, x, p]);
        Element { p, kept: [z, x] }
    }
}

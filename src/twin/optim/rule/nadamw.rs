//! Twin of `shaders/optim/rule/nadamw.wgsl`.

use super::{Arithmetic, Element};
use crate::twin::shared::Record;

/// NAdamW.
#[derive(Debug)]
pub struct NAdamW;

impl Arithmetic<2> for NAdamW {
    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [m, v] }: Element<2>) -> Element<2> {
        let m = m + record.one_minus_beta1 * (g - m);
        let v = record.beta2 * v + (record.one_minus_beta2 * g) * g;
        let ahead = m + record.one_minus_beta1 * (g - m);
        let p = p - record.step_size * (ahead / (v.sqrt() * record.root_scale + record.eps));
        Element { p, kept: [m, v] }
    }
}

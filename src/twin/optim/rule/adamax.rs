//! Twin of `shaders/optim/rule/adamax.wgsl`.

use super::{Arithmetic, Element};
use crate::twin::shared::{Record, larger};

/// Adamax.
#[derive(Debug)]
pub struct Adamax;

impl Arithmetic<2> for Adamax {
    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [m, u] }: Element<2>) -> Element<2> {
        let m = m + record.one_minus_beta1 * (g - m);
        let u = larger(record.beta2 * u, g.abs() + record.eps);
        Element { p: p - record.step_size * (m / u), kept: [m, u] }
    }
}

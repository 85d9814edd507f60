//! Twin of `shaders/optim/rule/adagrad.wgsl`.

use super::{Arithmetic, Element};
use crate::twin::shared::Record;

/// Adagrad.
#[derive(Debug)]
pub struct Adagrad;

impl Arithmetic<1> for Adagrad {
    #[inline(always)]
    fn prepared(record: Record) -> Record {
        Record { step_size: record.lr / (1.0 + (record.count - 1) as f32 * record.own0), ..record }
    }

    #[inline(always)]
    fn stepped(record: &Record, g: f32, Element { p, kept: [s] }: Element<1>) -> Element<1> {
        let s = if record.count == 1 { record.own1 } else { s } + g * g;
        Element { p: p - record.step_size * (g / (s.sqrt() + record.eps)), kept: [s] }
    }
}

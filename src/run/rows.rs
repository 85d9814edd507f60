//! Rows of a run file, as the device computes with them: in f32.
//!
//! The library takes what PyTorch takes. A run file is asked for more: values that are sound by themselves and still make a
//! step that is not finite, which no guard over gradients sees.

use super::Error;
use crate::params::{Field, Row};
use crate::schedule::file::section::Section;
use crate::schedule::{Phases, Spec};

/// Refuses what makes a first step that is not finite; `top` is the file's top level.
pub(super) fn check(top: &Section, spec: &Spec) -> Result<(), Error> {
    check_row(top, "optimizer", &spec.row)?;
    for (number, group) in spec.groups.iter().enumerate() {
        check_row(top, &format!("optimizer.groups[{number}]"), &group.row)?;
    }
    let Phases::Explicit(phases) = &spec.phases else { return Ok(()) };
    for (number, phase) in phases.iter().enumerate() {
        let lr = phase.lr.unwrap_or(spec.row.lr);
        check_row(top, &format!("phases.{number}"), &Row { lr, ..spec.row })?;
        if let Some(new) = &phase.new_optimizer {
            check_row(top, &format!("phases.{number}.new_optimizer.optimizer_init.init_args"), &new.row)?;
        }
    }
    Ok(())
}

fn check_row(top: &Section, key: &str, row: &Row) -> Result<(), Error> {
    let bad = |field: &str, value: f64, allowed: &str| {
        Err(top.bad(&format!("{key}.{field}"), format!("{value:e}"), allowed, None).into())
    };
    // Denormal numbers are 0 to most GPUs.
    if row.has(Field::Eps) && (row.eps as f32) < f32::MIN_POSITIVE {
        let allowed = "1.2e-38 or more, without which an element whose gradient is 0 becomes 0 / 0";
        return bad("eps", row.eps, allowed);
    }
    // Adam's first step is the rate itself, made from lr / (1 - beta1); the decay takes lr * weight_decay of a parameter.
    let first = if row.has(Field::Beta1) { row.lr / (1.0 - row.beta1) } else { row.lr };
    if !(first as f32).is_finite() || !((row.lr * row.weight_decay) as f32).is_finite() {
        return bad("lr", row.lr, "a rate whose first step f32 can hold");
    }
    Ok(())
}

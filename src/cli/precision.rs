//! `use_mixed_precision: auto`: what was tried, in a table, and what was chosen.

use super::say::say;
use super::says::Says;
use gradus::engine::Engine;
use gradus::nn::MixedPrecision;
use gradus::train::{AutoPrecision, Error, LAYER_BOUND, Trainer, auto_precision};

/// Chooses, and tells the table; its rows are for the report.
pub(super) fn find(
    engine: &Engine,
    trainer: impl FnMut(MixedPrecision) -> Result<Trainer, Error>,
    says: Says,
) -> anyhow::Result<(MixedPrecision, Vec<(String, String)>)> {
    let AutoPrecision { chosen, why, tried, .. } = auto_precision(trainer)?;
    let mut rows = Vec::new();
    for tried in &tried {
        let worst = tried.worst().filter(|(_, error)| *error > 0.0);
        let worst = worst.map_or(String::new(), |(layer, error)| format!(", gradients within {error:.0e} ({layer})"));
        rows.push((tried.values.name().to_owned(), format!("{:.1} ms a step{worst}", tried.seconds * 1e3)));
    }
    let stay = match &chosen.wide[..] {
        [] => String::new(),
        wide => format!("; off by more than {LAYER_BOUND} and so in f32: {}", wide.join(", ")),
    };
    rows.push(("chosen".to_owned(), format!("{}: {why}{stay}", chosen.values.name())));
    if says >= Says::Usual {
        say!("use_mixed_precision: auto, on {}", engine.name());
        rows.iter().for_each(|(name, told)| say!("  {name:<8} {told}"));
    }
    let [_, bf16, f16] = &tried[..] else { return Ok((chosen, rows)) };
    for ((layer, bf16), (_, f16)) in bf16.errors.iter().zip(&f16.errors) {
        rows.push((layer.clone(), format!("bf16 {bf16:.1e}, f16 {f16:.1e}")));
    }
    Ok((chosen, rows))
}

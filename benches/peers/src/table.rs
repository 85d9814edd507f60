//! Rows, for eyes and for programs.

use crate::pairing::Pairing;
use crate::turns::{Measured, Side};
use crate::{Failure, name_of};
use serde::Serialize;
use std::fmt;

/// A pairing and what came of it.
#[derive(Debug, Serialize)]
pub struct Row {
    workload: String,
    theirs: String,
    ours: String,
    /// What the project wants of the ratio, at least.
    target: Option<f64>,
    /// Whether the median meets it.
    met: Option<bool>,
    /// Whether both ran on adapters of one name; not said of PyTorch, which names them in its own way.
    same_adapter: Option<bool>,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Measured(Measured),
    /// Why there are no times.
    Failed(String),
}

/// Above the rows.
pub const HEADER: &str = "\
workload   theirs           ours       theirs ms     ours ms   ratio [quartiles]       pairs x steps  target      first step, s    losses: theirs, ours";

impl Row {
    /// `kind` and `same_adapter` are of the programs' own words, if there were any.
    pub fn new(pairing: &Pairing, kind: &str, same_adapter: Option<bool>, outcome: Result<Measured, Failure>) -> Row {
        // On another adapter the ratio says nothing about us.
        let target = pairing.target(kind).filter(|_| same_adapter != Some(false));
        let outcome = match outcome {
            Ok(measured) => Outcome::Measured(measured),
            Err(failure) => Outcome::Failed(failure.to_string()),
        };
        let met = match (&outcome, target) {
            (Outcome::Measured(measured), Some(target)) => Some(measured.ratio.median() >= target),
            _ => None,
        };
        let (workload, theirs, ours) = (name_of(&pairing.workload), pairing.other_name(), name_of(&pairing.ours));
        Row { workload, theirs, ours, target, met, same_adapter, outcome }
    }

    /// A line for every pairing with a peer that is not there at all.
    pub fn absent(peer: &str, why: String) -> Row {
        let (workload, theirs, ours) = ("all".to_owned(), peer.to_owned(), String::new());
        Row { workload, theirs, ours, target: None, met: None, same_adapter: None, outcome: Outcome::Failed(why) }
    }

    /// Both programs with what they ran on.
    pub fn devices(&self) -> Vec<(&str, &str)> {
        match &self.outcome {
            Outcome::Measured(Measured { theirs, ours, .. }) => {
                vec![(&self.ours, &ours.device), (&self.theirs, &theirs.device)]
            }
            Outcome::Failed(_) => Vec::new(),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:10} {:16} {:10} ", self.workload, self.theirs, self.ours)?;
        let measured = match &self.outcome {
            Outcome::Measured(measured) => measured,
            Outcome::Failed(why) => return write!(f, "not measured: {why}"),
        };
        let Measured { ratio, pairs, steps, theirs, ours, .. } = measured;
        let [lower, median, upper] = ratio.0;
        let quartiles = format!("[{lower:.2}, {upper:.2}]");
        let target = match (self.target, self.met) {
            (Some(target), Some(met)) => format!(">= {target} {}", if met { "pass" } else { "SHORT" }),
            _ => String::new(),
        };
        write!(
            f,
            "{:>9.2} {:>11.2} {median:>7.2} {quartiles:16} {:>14}  {target:12} {:>5.1} {:>5.1}   {}, {}",
            theirs.milliseconds,
            ours.milliseconds,
            format!("{pairs} x {steps}"),
            theirs.first_step_seconds,
            ours.first_step_seconds,
            losses(theirs),
            losses(ours),
        )?;
        if self.same_adapter == Some(false) { write!(f, "  ANOTHER ADAPTER") } else { Ok(()) }
    }
}

fn losses(Side { losses: [first, last], .. }: &Side) -> String {
    format!("{first:.4} > {last:.4}")
}

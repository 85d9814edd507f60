//! What a plan costs, phase by phase, and its rates.

use super::phase_table;
use super::plan_options::Plan;
use super::rates::Rows;
use super::rates_told;
use gradus::params::Param;
use gradus::schedule::{self, Spec};

/// More would fill the memory of a small machine.
pub(super) const MOST_STEPS: u64 = 10_000_000;

/// What a plan's phases cost, and if that is wanted its rates.
pub(super) fn told(
    plan: &schedule::Plan,
    spec: &Spec,
    params: &[Param],
    run: &phase_table::Run<'_>,
    options: &Plan,
    is_drawn: bool,
) -> anyhow::Result<String> {
    let costs = phase_table::costs(plan, params, run)?;
    if options.json {
        return Ok(serde_json::to_string_pretty(&costs)? + "\n");
    }
    let table = format!("{}\n{}", phase_table::draw(&costs), phase_table::names(plan, params));
    if !is_drawn {
        let notes: String = spec.intervals().iter().map(|note| rates_told::noted(note)).collect();
        return Ok(table + &notes);
    }
    if plan.steps() > MOST_STEPS {
        return Ok(format!("{table}note      the rates of more than {MOST_STEPS} steps are not drawn\n"));
    }
    let ends = phase_table::latest(plan)?;
    Ok(format!("{table}{ends}{}", rates_told::told(&Rows::of_plan(plan)?, spec, &options.outputs)?))
}

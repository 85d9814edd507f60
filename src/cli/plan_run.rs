//! `gradus plan RUN.yaml`: what a run will do, by the model and the data that its file names.

use super::asks::Asks;
use super::plan_options::Plan;
use super::plan_told::told as told_plan;
use super::say::caution;
use super::says::Says;
use super::{batch, exchange_told, phase_table};
use gradus::measure;
use gradus::params::Param;
use gradus::run::{BatchRows, Material, RunFile};
use gradus::schedule::{self, Epochs, ModelParams};
use std::collections::HashSet;

/// Phases, their memory and time, and the rates of the whole run.
pub(super) fn told(asks: &Asks, options: &Plan) -> anyhow::Result<String> {
    let mut run = RunFile::read(&options.file, &options.settings)?;
    let links = options.links();
    if let Some(links) = links {
        run.rank.of = links.ranks;
    }
    let run = run;
    let material = Material::to_plan(&run)?;
    for warning in run.warnings.iter().chain(&material.warnings) {
        caution!("{warning}");
    }
    let task = &*material.task;
    let engine = match options.time || run.batch_rows == BatchRows::Auto {
        true => Some(asks.engine(Says::Nothing)?),
        false => None,
    };
    let batch_rows = match (run.batch_rows, &engine) {
        (BatchRows::Auto, Some(engine)) => {
            batch::find(engine, task, &run.config(1), &run.schedule, run.auto_limit_bytes(), false)?
        }
        (BatchRows::Rows(rows), _) => rows,
        (BatchRows::Auto, None) => 1,
    };
    let (mut config, spec) = (run.config(batch_rows), run.scaled(batch_rows)?);
    let again = batch::recomputed(task, &config, &run)?;
    config.recomputed_layers = again.as_ref().map_or(0, |again| again.layers);
    let (params, tied, in_class) = (task.params(), task.tied(), task.names_in_class());
    let epochs = Epochs { epochs: config.epochs as u64, steps_per_epoch: task.steps_per_epoch(&config)? };
    let plan = schedule::Plan::new(&spec, ModelParams { params: &params, tied: &tied, in_class: &in_class }, epochs)?;
    for warning in plan.warnings().iter().filter(|warning| !run.warnings.contains(warning)) {
        caution!("{warning}");
    }
    let speed = match (options.time, &engine) {
        (true, Some(engine)) => Some(measure::optimizer_bytes_per_second(engine)?),
        _ => None,
    };
    let tells_memory = task.activation_bytes(&config, &|_| true)?.is_some();
    let pass = |trainable: &[Param]| {
        let names: HashSet<&str> = trainable.iter().map(|param| param.name.as_str()).collect();
        let activation_bytes = task.activation_bytes(&config, &|name| names.contains(name))?.unwrap_or_default();
        Ok(phase_table::Pass { activation_bytes, dispatches: None })
    };
    let pass: Option<phase_table::PassOf<'_>> = if tells_memory { Some(&pass) } else { None };
    let cost = phase_table::Run { config: config.clone(), pass, optimizer_bytes_per_second: speed };
    let told = told_plan(&plan, &spec, &params, &cost, options, true)?;
    if options.json {
        return Ok(told);
    }
    let (steps, of_epoch) = (plan.steps(), plan.steps_per_epoch());
    let length =
        format!("{} epochs of {of_epoch} steps of {} rows: {steps} steps", plan.epochs(), config.rows_per_step());
    let again = again.map_or_else(String::new, |again| format!("{}\n", batch::told(&again)));
    let exchange = links.map_or_else(String::new, |links| exchange_told::told(&plan, &params, &links) + "\n");
    Ok(format!("{}\n{length}\n{again}\n{exchange}{told}", material.summary))
}

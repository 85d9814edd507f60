//! `gradus bench`.

use super::say;
use clap::Args;
use gradus::engine::Engine;
use gradus::measure::{self, Extent};
use indicatif::ProgressBar;
use std::time::Duration;

#[derive(Args)]
pub(super) struct Bench {
    /// Write JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Millions (2^20) of parameters of the largest step, which takes 16 bytes each [default: 64 on software, 512 on a GPU,
    /// or as many as fit].
    #[arg(long, value_name = "MI")]
    most: Option<usize>,
    /// Pairs of steps for each ratio.
    #[arg(long, value_name = "N", default_value_t = 31, value_parser = clap::value_parser!(u16).range(1..))]
    pairs: u16,
}

pub(super) fn run(engine: &Engine, asked: Option<&str>, options: &Bench) -> anyhow::Result<()> {
    let engine = &super::kernels::anew(engine, asked)?;
    let extent = Extent::of(engine)
        .most_parameters(options.most.map_or(Extent::of(engine).most_parameters, |most| most.saturating_mul(1 << 20)))
        .pairs(usize::from(options.pairs));
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(200));
    let report = measure::adapter(engine, &extent, |next| spinner.set_message(next.to_owned()))?;
    spinner.finish_and_clear();
    if options.json {
        say::data(&(serde_json::to_string_pretty(&report)? + "\n"));
    } else {
        say::out(&report.to_string());
    }
    Ok(())
}

//! `gradus check`.

use super::say::{self, say};
use clap::Args;
use gradus::check::{self, Certificate, Extent};
use gradus::engine::Engine;

#[derive(Args)]
pub(super) struct Check {
    /// Write JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Try every form of every kernel, not those alone that a run takes on this adapter.
    #[arg(long)]
    all: bool,
}

pub(super) fn run(engine: &Engine, asked: Option<&str>, options: &Check) -> anyhow::Result<()> {
    let (engine, _) = super::kernels::known(engine, asked)?;
    let extent = Extent { all: options.all, kernels: |_| true };
    let certificate = check::adapter(&engine, &extent, |_| ())?;
    if options.json {
        say::data(&(serde_json::to_string_pretty(&certificate)? + "\n"));
    } else {
        told(&certificate);
    }
    Ok(())
}

fn told(certificate: &Certificate) {
    for (name, checked) in &certificate.kernels {
        say!("{name:60} {:5} {:9.1e} {:6.2} s", checked.trials, checked.error, checked.seconds);
    }
    for refused in &certificate.refused {
        say!("{} ({}), {}: {}", refused.kernel, refused.form, refused.tried, refused.reason);
    }
    say!("{:.1} s", certificate.seconds);
}

//! `gradus check`.

use super::asked::refuse;
use super::kernels;
use super::say::{self, say, tell};
use anyhow::{Context, bail};
use clap::Args;
use gradus::check::{self, Certificate, families_of, family_of, forms, standing};
use gradus::engine::{AdapterChoice, Engine, Kernel, Shaders};
use gradus::params::shown_path;
use gradus::train::files;
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// Write JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Try every form of every kernel, not only those that runs use on this adapter.
    #[arg(long)]
    all: bool,
    /// Read shaders from this folder, laid out like shaders/ in the sources, and try the kernels whose text differs.
    #[arg(long, value_name = "DIR")]
    shaders: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  gradus check                          the kernels that runs use on this adapter
  gradus check --all --json             every form, as JSON
  gradus check --shaders shaders        the shaders that you are changing, without a build

The certificate is kept in the user's cache, beside the choices of tilings; `gradus train` uses it.
Exit codes: 0 everything agrees, 1 something does not, 2 the request cannot be carried out.";

pub(super) fn run(choice: &AdapterChoice, asked: Option<&str>, options: &Check) -> anyhow::Result<()> {
    let certificate = match &options.shaders {
        Some(folder) => of_folder(choice, asked, folder, options.all)?,
        None => of_adapter(choice, asked, options.all)?,
    };
    if options.json {
        say::data(&(serde_json::to_string_pretty(&certificate)? + "\n"));
    } else {
        told(&certificate);
    }
    match certificate.refused.len() {
        0 => Ok(()),
        count => bail!("{count} trials disagree on {}", certificate.adapter),
    }
}

fn spinner() -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(200));
    spinner
}

/// Checks an adapter, finds replacements of wrong forms, and keeps both.
fn of_adapter(choice: &AdapterChoice, asked: Option<&str>, all: bool) -> anyhow::Result<Certificate> {
    let (engine, _) = kernels::known(&Engine::new(choice)?, asked)?;
    let spinner = spinner();
    let mut certificate = check::adapter(&engine, all, |next| spinner.set_message(next.to_owned()))?;
    spinner.finish_and_clear();
    let own: Vec<String> = forms(&engine, false).into_iter().map(|form| form.name).collect();
    let refused = certificate.refused.iter().filter(|refused| own.contains(&refused.form));
    let families = families_of(refused.map(|refused| refused.kernel.as_str()));
    if !families.is_empty() && engine.adapter().is_some() {
        let stands = standing(&engine, &families)?;
        for refused in &mut certificate.refused {
            let family = family_of(&refused.kernel).map(|family| family.name);
            refused.instead = family.and_then(|family| stands.instead.get(family).cloned());
        }
        if let Some(engine) = &stands.engine {
            kernels::keep_choices(engine, asked)?;
        }
    }
    if let Some(file) = kernels::keep_certificate(&engine, &certificate)? {
        tell!("the certificate is in {}", shown_path(&file));
    }
    Ok(certificate)
}

/// Checks the kernels whose shaders differ in a folder from our own.
fn of_folder(choice: &AdapterChoice, asked: Option<&str>, folder: &Path, all: bool) -> anyhow::Result<Certificate> {
    let shaders = read(folder)?;
    let differs = |kernel: &Kernel| kernel.wgsl_with(&shaders) != kernel.wgsl();
    if !gradus::engine::kernels::all().any(differs) {
        refuse!("{}: no shader in it differs from those of this program", shown_path(folder));
    }
    let (engine, _) = kernels::known(&Engine::with_shaders(choice, shaders.clone())?, asked)?;
    let spinner = spinner();
    let found = check::kernels(&forms(&engine, all), &differs, |next| spinner.set_message(next.to_owned()))?;
    spinner.finish_and_clear();
    let mut certificate = Certificate::of(&engine);
    certificate.is_whole = all;
    certificate.take(found);
    Ok(certificate)
}

fn read(folder: &Path) -> anyhow::Result<Shaders> {
    let mut texts = Vec::new();
    for room in ["nn", "optim", "optim/rule", "measure", "shared"] {
        let Ok(entries) = std::fs::read_dir(folder.join(room)) else { continue };
        for entry in entries {
            let path = entry?.path();
            let (Some(name), Some("wgsl")) = (
                path.file_stem().and_then(|name| name.to_str()),
                path.extension().and_then(|extension| extension.to_str()),
            ) else {
                continue;
            };
            let text = files::read_text(&path).with_context(|| format!("reading {}", shown_path(&path)))?;
            texts.push((format!("{room}/{name}"), text));
        }
    }
    if texts.is_empty() {
        refuse!("{}: no shaders in it; shaders are in nn, optim, measure and shared", shown_path(folder));
    }
    match Shaders::new(texts) {
        Ok(shaders) => Ok(shaders),
        Err(name) => refuse!("{}: no kernel uses {name}.wgsl", shown_path(folder)),
    }
}

/// For each family its forms, trials and largest error; what is wrong; how fast it is.
fn told(certificate: &Certificate) {
    say!("{} ({}), gradus {}", certificate.adapter, certificate.driver, certificate.version);
    say!();
    let mut families: BTreeMap<&str, (usize, usize, f64)> = BTreeMap::new();
    for (name, checked) in &certificate.kernels {
        let family = families.entry(name.split(['.', ' ']).next().unwrap_or(name)).or_default();
        *family = (family.0 + 1, family.1 + checked.trials, family.2.max(checked.error));
    }
    say!("{:32} {:>6} {:>7}   largest error", "kernels", "forms", "trials");
    for (name, (forms, trials, error)) in &families {
        let told = if *error < f64::MAX { format!("{error:.1e}") } else { "wrong".to_owned() };
        say!("{name:32} {forms:6} {trials:7}   {told}");
    }
    if let Some(worst) = certificate.slopes.values().copied().reduce(f64::max) {
        say!();
        say!("gradients of {} networks against differences: at most {worst:.1e} off", certificate.slopes.len());
    }
    if !certificate.speeds.is_empty() {
        say!();
        say!("{:40} {:>9} {:>9} {:>7} {:>14}", "a layer of an encoder, AdamW", "ms", "GFLOP/s", "GB/s", "of a copy");
        for speed in &certificate.speeds {
            let flops = speed.flops_per_second.map_or_else(String::new, |flops| format!("{:.1}", flops / 1e9));
            let (milliseconds, bytes) = (1e3 * speed.seconds, speed.bytes_per_second / 1e9);
            say!(
                "{:40} {milliseconds:9.3} {flops:>9} {bytes:7.2} {:12.0} %",
                speed.kernel,
                100.0 * speed.share_of_copy
            );
        }
    }
    say!();
    for refused in &certificate.refused {
        let instead = refused.instead.as_ref().map_or_else(String::new, |form| format!("; {form} replaces it"));
        say!("WRONG {} ({}), {}: {}{instead}", refused.kernel, refused.form, refused.tried, refused.reason);
    }
    let trials: usize = certificate.kernels.values().map(|checked| checked.trials).sum();
    say!(
        "{} kernels and forms, {trials} trials, {} wrong, in {:.1} s",
        certificate.kernels.len(),
        certificate.refused.len(),
        certificate.seconds
    );
}

//! `check`: a run's kernels and its first gradients held against the host, before anything is trained.

use super::kernels;
use super::ready::Ready;
use super::say::{caution, say};
use super::says::Says;
use anyhow::bail;
use gradus::check::{Certificate, Form, families_of, forms, kernels as try_kernels, standing};
use gradus::engine::{Engine, Kernel};
use gradus::run::Checking;
use gradus::train::{Agreement, Trainer};
use indicatif::ProgressBar;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// With `check: auto`, the first gradients are held against the host if it needs no more than this for them.
const PATIENCE_SECONDS: f64 = 10.0;

/// Products of matrices that a core makes in a second, at the least: about a quarter of what one does here.
const FLOPS_A_CORE: f64 = 25e9;

/// What was checked, in a line.
pub(super) struct Checked {
    pub(super) engine: Engine,
    pub(super) trainer: Trainer,
    pub(super) told: String,
}

/// Checks what a run is about to use. A form that disagrees gives way to one that agrees, on an engine of its own; where
/// there is none the run is refused by the kernel's name.
pub(super) fn checked(
    ready: &mut Ready,
    (mut engine, mut trainer): (Engine, Trainer),
    asked: Option<&str>,
    says: Says,
) -> anyhow::Result<Checked> {
    let mode = ready.run.check;
    if mode == Checking::Off || engine.adapter().is_none() {
        let told = if mode == Checking::Off { "off" } else { "none needed: no shader runs" };
        return Ok(Checked { engine, trainer, told: told.to_owned() });
    }
    let started = Instant::now();
    let mut replaced: BTreeSet<String> = BTreeSet::new();
    loop {
        let names = names(&mut trainer)?;
        let certificate = certified(&engine, &names)?;
        let own: Vec<String> = forms(&engine, false).into_iter().map(|form| form.name).collect();
        let is_ours = |kernel: &str, form: &String| names.contains(kernel) && own.contains(form);
        let refused: Vec<&str> = certificate
            .refused
            .iter()
            .filter(|refused| is_ours(&refused.kernel, &refused.form))
            .map(|refused| refused.kernel.as_str())
            .collect();
        let wrong: Vec<String> = if refused.is_empty() {
            let of_ours = names.iter().flat_map(|name| own.iter().filter_map(|form| certificate.of_kernel(name, form)));
            let error = of_ours.map(|checked| checked.error).fold(0.0, f64::max);
            match gradients(ready, &mut trainer, mode)? {
                None => {
                    let told = format!("{} kernels agree with the host within {error:.0e}", names.len());
                    return Ok(end(
                        engine,
                        trainer,
                        told + "; its gradients were not compared",
                        &replaced,
                        (started, says),
                    ));
                }
                Some(agreement) if agreement.holds() => {
                    let (tensors, (worst, off)) = (agreement.tensors, &agreement.worst);
                    let told = format!(
                        "{} kernels agree with the host within {error:.0e}, {tensors} gradients of the first batch within {off:.0e} ({worst})",
                        names.len()
                    );
                    return Ok(end(engine, trainer, told, &replaced, (started, says)));
                }
                Some(agreement) => culprits(&mut trainer, &agreement)?,
            }
        } else {
            refused.into_iter().map(str::to_owned).collect()
        };
        let families = families_of(wrong.iter().map(String::as_str));
        let stands = standing(&engine, &families)?;
        // What was right at sizes of its own and not at the run's has no other way to show it than the run.
        let again = families.iter().find(|family| !replaced.insert(format!("{} on {own:?}", family.name)));
        let without = stands.without.or(again.map(|family| family.name));
        let Some(other) = stands.engine.filter(|_| without.is_none()) else {
            let kernel = without.unwrap_or("a kernel");
            bail!(
                "kernel {kernel} is wrong on {} in every form: `gradus check` shows the errors; --adapter cpu \
                 trains on the processor, and check: off trains without checks",
                engine.name()
            );
        };
        for (family, form) in &stands.instead {
            caution!("{family} is wrong on this adapter in its usual form; {form} replaces it");
        }
        kernels::keep_choices(&other, asked)?;
        trainer = ready.trainer(&other)?;
        engine = other;
    }
}

fn end(
    engine: Engine,
    trainer: Trainer,
    mut told: String,
    replaced: &BTreeSet<String>,
    (started, says): (Instant, Says),
) -> Checked {
    if !replaced.is_empty() {
        told.push_str(&format!("; {} in another form than usual", replaced.len()));
    }
    if says >= Says::Usual {
        say!("checked        {told}, in {:.1} s", started.elapsed().as_secs_f64());
    }
    Checked { engine, trainer, told }
}

/// The kernels of a step.
fn names(trainer: &mut Trainer) -> anyhow::Result<BTreeSet<&'static str>> {
    let programs = trainer.programs()?;
    Ok(programs.iter().flat_map(|program| &program.dispatches).map(|dispatch| dispatch.kernel.name).collect())
}

/// The certificate of an adapter with these kernels in it; where it lacks one they are tried now.
fn certified(engine: &Engine, names: &BTreeSet<&'static str>) -> anyhow::Result<Certificate> {
    let (mut certificate, forms) = (kernels::certificate(engine), forms(engine, false));
    let is_known = |name: &&'static str| forms.iter().any(|form| certificate.of_kernel(name, &form.name).is_some());
    let is_tried = |form: &Form| names.iter().any(|name| certificate.of_kernel(name, &form.name).is_some());
    if names.iter().all(is_known) && forms.iter().all(is_tried) {
        return Ok(certificate);
    }
    let spinner = ProgressBar::new_spinner().with_message("checking the kernels of this run");
    spinner.enable_steady_tick(Duration::from_millis(200));
    certificate.take(try_kernels(&forms, &|kernel: &Kernel| names.contains(kernel.name), |_| ())?);
    spinner.finish_and_clear();
    if let Err(error) = kernels::keep_certificate(engine, &certificate) {
        caution!("{error:#}; the next run checks again");
    }
    Ok(certificate)
}

/// The gradients of the first batch against those of the CPU engine; `None` where that would take too long.
fn gradients(ready: &mut Ready, trainer: &mut Trainer, mode: Checking) -> anyhow::Result<Option<Agreement>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let seconds = trainer.step_flops()? as f64 / (FLOPS_A_CORE * cores as f64);
    if mode == Checking::Auto && seconds > PATIENCE_SECONDS {
        return Ok(None);
    }
    let mut host = ready.trainer_for(&Engine::cpu())?;
    host.stand_as(trainer)?;
    Ok(Some(trainer.agreement(&mut host)?))
}

/// The kernels whose dispatches of the first step differ from the host's.
fn culprits(trainer: &mut Trainer, agreement: &Agreement) -> anyhow::Result<Vec<String>> {
    let disagreements = trainer.disagreements()?;
    let (worst, off) = &agreement.worst;
    let Some(first) = disagreements.first() else {
        bail!(
            "the gradient of {worst} is off by {off:.0e} (bound {:.0e}) from the host's, and no kernel alone is: check: off \
             trains as it is, --adapter cpu on the processor",
            agreement.bound
        );
    };
    caution!("the gradient of {worst} is off by {off:.0e} from the host's: {}, {}", first.kernel, first.reason);
    Ok(disagreements.into_iter().map(|disagreement| disagreement.kernel.to_owned()).collect())
}

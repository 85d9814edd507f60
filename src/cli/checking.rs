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

/// An engine and a trainer whose kernels were checked.
pub(super) struct Checked {
    pub(super) engine: Engine,
    pub(super) trainer: Trainer,
    pub(super) outcome: Outcome,
}

/// What a check found: in a line, and in names and values for the report.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) line: String,
    pub(super) rows: Vec<(&'static str, String)>,
}

/// Checks the kernels that a run is about to use. If a form is wrong, one that agrees replaces it, on another engine; if
/// there is none, the run is refused by the kernel's name.
pub(super) fn checked(
    ready: &mut Ready,
    (mut engine, mut trainer): (Engine, Trainer),
    asked: Option<&str>,
    says: Says,
) -> anyhow::Result<Checked> {
    let mode = ready.run.check;
    if mode == Checking::Off || engine.adapter().is_none() {
        let line = if mode == Checking::Off { "off" } else { "none needed: no shader runs" };
        let outcome = Outcome { line: line.to_owned(), rows: vec![("kernels", line.to_owned())] };
        return Ok(Checked { engine, trainer, outcome });
    }
    let started = Instant::now();
    let mut replaced: BTreeSet<String> = BTreeSet::new();
    loop {
        let names = names(&mut trainer)?;
        let certificate = certified(&engine, &names, ready.run.rank.is_first())?;
        let own: Vec<String> = forms(&engine, false).into_iter().map(|form| form.name).collect();
        let is_ours = |kernel: &str, form: &String| names.contains(kernel) && own.contains(form);
        let refused: Vec<&str> = certificate
            .refused
            .iter()
            .filter(|refused| is_ours(&refused.kernel, &refused.form))
            .map(|refused| refused.kernel.as_str())
            .collect();
        let wrong: Vec<String> = if refused.is_empty() {
            let agreement = gradients(ready, &mut trainer, mode)?;
            match agreement.as_ref().filter(|agreement| !agreement.holds()) {
                Some(agreement) => culprits(&mut trainer, agreement)?,
                None => {
                    let outcome = found(&certificate, (&names, &own), agreement.as_ref());
                    return Ok(Checked { outcome: end(outcome, &replaced, (started, says)), engine, trainer });
                }
            }
        } else {
            refused.into_iter().map(str::to_owned).collect()
        };
        let families = families_of(wrong.iter().map(String::as_str));
        let stands = standing(&engine, &families)?;
        // A kernel that is right at the sizes of the samples but wrong at the run's shows only in the run.
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
        if ready.run.rank.is_first() {
            kernels::keep_choices(&other, asked)?;
        }
        trainer = ready.trainer(&other)?;
        engine = other;
    }
}

/// What was found of these kernels in these forms, and of the gradients if they were compared.
fn found(
    certificate: &Certificate,
    (names, forms): (&BTreeSet<&'static str>, &[String]),
    agreement: Option<&Agreement>,
) -> Outcome {
    let of_kernel = |name: &&'static str| {
        let tried =
            forms.iter().filter_map(|form| certificate.of_kernel(name, form)).map(|tried| (tried.trials, tried.error));
        let (trials, error) = tried.fold((0, 0.0), |sum, tried| (sum.0 + tried.0, f64::max(sum.1, tried.1)));
        (trials, error, *name)
    };
    let tried: Vec<(usize, f64, &str)> = names.iter().map(of_kernel).collect();
    let trials: usize = tried.iter().map(|(trials, ..)| trials).sum();
    let (_, error, worst) =
        tried.into_iter().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or((0, 0.0, "no kernel"));
    let agreeing = format!("{} kernels agree with the host within {error:.0e}", names.len());
    let (line, gradients) = match agreement {
        None => (format!("{agreeing}; its gradients were not compared"), "not compared".to_owned()),
        Some(Agreement { tensors, worst: (worst, off), .. }) => (
            format!("{agreeing}, {tensors} gradients of the first batch within {off:.0e} ({worst})"),
            format!("{tensors}, largest error {off:.0e} in {worst}"),
        ),
    };
    let rows = vec![
        ("adapter", certificate.adapter.clone()),
        ("driver", certificate.driver.clone()),
        ("kernels", format!("{} in {trials} trials, largest error {error:.0e} in {worst}", names.len())),
        ("gradients of the first batch", gradients),
    ];
    Outcome { line, rows }
}

/// Adds the forms that were replaced and the time, and prints the line.
fn end(mut outcome: Outcome, replaced: &BTreeSet<String>, (started, says): (Instant, Says)) -> Outcome {
    let seconds = started.elapsed().as_secs_f64();
    if !replaced.is_empty() {
        outcome.line.push_str(&format!("; {} in another form than usual", replaced.len()));
        outcome.rows.push(("in another form", replaced.len().to_string()));
    }
    outcome.rows.push(("seconds", format!("{seconds:.1}")));
    if says >= Says::Usual {
        say!("checked        {}, in {seconds:.1} s", outcome.line);
    }
    outcome
}

/// The kernels of a step.
fn names(trainer: &mut Trainer) -> anyhow::Result<BTreeSet<&'static str>> {
    let programs = trainer.programs()?;
    Ok(programs.iter().flat_map(|program| &program.dispatches).map(|dispatch| dispatch.kernel.name).collect())
}

/// The certificate of an adapter with these kernels; missing ones are tried now, and it is kept if this is the rank that writes.
fn certified(engine: &Engine, names: &BTreeSet<&'static str>, keeps: bool) -> anyhow::Result<Certificate> {
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
    if !keeps {
        return Ok(certificate);
    }
    if let Err(error) = kernels::keep_certificate(engine, &certificate) {
        caution!("{error:#}; the next run checks again");
    }
    Ok(certificate)
}

/// The gradients of the first batch against those of the CPU engine; `None` if that would take too long.
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

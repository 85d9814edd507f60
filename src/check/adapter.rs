//! Every kernel against its twin on an adapter, over what operations and updates declare.

use super::bed::Bed;
use super::certificate::Certificate;
use super::checked::Refused;
use super::forms::{Form, forms};
use super::found::Found;
use super::{alone, speed};
use crate::Error;
use crate::engine::kernels::ValueStorage;
use crate::engine::{Engine, Kernel, Submission};
use crate::nn;
use crate::optim::{self, Next};
use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

/// Checks an adapter in the forms that a run takes there, or with `all` in every form; `tell` hears what comes next.
///
/// What disagrees, and what the driver refuses, is in the certificate.
///
/// # Errors
/// From the device: out of memory.
pub fn adapter(engine: &Engine, all: bool, mut tell: impl FnMut(&str)) -> Result<Certificate, Error> {
    let started = Instant::now();
    let forms = forms(engine, all);
    let mut found = kernels(&forms, &|_| true, &mut tell)?;
    let (mut slopes, mut speeds) = (BTreeMap::new(), Vec::new());
    if !found.is_stuck {
        tell("gradients against differences");
        forms.iter().try_for_each(|form| self::slopes(form, &mut slopes, &mut found))?;
        tell("speeds");
        speeds = speed::speeds(engine)?;
    }
    let mut certificate = Certificate { is_whole: all, slopes, speeds, ..Certificate::of(engine) };
    certificate.take(found);
    certificate.seconds = started.elapsed().as_secs_f64();
    Ok(certificate)
}

/// A kernel of what every network has, such as its loss, is tried so often in samples that are made for others.
const ELSEWHERE: usize = 2;

/// Puts those kernels that are wanted to their twins in these forms.
///
/// # Errors
/// From the device: out of memory.
pub fn kernels(forms: &[Form], wanted: &dyn Fn(&Kernel) -> bool, mut tell: impl FnMut(&str)) -> Result<Found, Error> {
    let mut found = Found::default();
    for form in forms {
        let reference = form.on(&Engine::twins());
        for sample in nn::ops::samples() {
            tell(&sample.name);
            for (program, way) in Bed::new(&reference, &sample)?.programs()?.iter().zip(["", ", added"]) {
                let tried = format!("{}{way}", sample.name);
                let is_enough =
                    |kernel: &&Kernel| !sample.is_made_for(kernel.name) && found.trials(kernel, form) >= ELSEWHERE;
                let kernels = program.dispatches.iter().map(|dispatch| dispatch.kernel);
                let enough: HashSet<&str> = kernels.filter(is_enough).map(|kernel| kernel.name).collect();
                let wanted = |kernel: &Kernel| wanted(kernel) && !enough.contains(kernel.name);
                found.walk(form, &wanted, &reference, (&tried, program, 0))?;
            }
        }
        tell("updates");
        updates(&mut found, form, wanted, &reference)?;
        for (number, trial) in alone::trials(&reference).into_iter().enumerate() {
            if wanted(trial.kernel) {
                found.put(form, ("alone", number), &trial, &trial.run(&reference)?)?;
            }
        }
    }
    Ok(found)
}

fn updates(found: &mut Found, form: &Form, wanted: &dyn Fn(&Kernel) -> bool, reference: &Engine) -> Result<(), Error> {
    for sample in optim::sample::samples() {
        let mut placed = sample.place(reference)?;
        for step in 1..=2 {
            placed.upload_gradients(reference, step)?;
            let Next { uploads, program, slot, .. } = placed.optimizer.next(None)?;
            reference.submit(&Submission { uploads, ..Submission::default() })?;
            let tried = format!("step {step}, {}", sample.name());
            found.walk(form, wanted, reference, (&tried, program.program(), slot))?;
        }
        if let Some(swap) = placed.optimizer.swap()? {
            found.walk(form, wanted, reference, (&format!("swap, {}", sample.name()), swap.program(), 0))?;
        }
    }
    for (number, clip) in optim::sample::clips(reference)?.iter().enumerate() {
        found.walk(form, wanted, reference, (&format!("clip {number}"), clip.program(), 0))?;
    }
    for (number, program) in optim::sample::resizes(reference)?.iter().enumerate() {
        found.walk(form, wanted, reference, (&format!("resize {number}"), program, 0))?;
    }
    Ok(())
}

/// Gradients against differences of the loss. A loss of 2 in f32 over a step of 0.004 is known to 1e-4.
fn slopes(form: &Form, slopes: &mut BTreeMap<String, f64>, found: &mut Found) -> Result<(), Error> {
    for sample in nn::ops::samples().into_iter().filter(|sample| !sample.is_bf16 && sample.values == ValueStorage::F32)
    {
        let [got, expected] = Bed::new(&form.engine, &sample)?.slope()?;
        let error = (got - expected).abs() / expected.abs().max(0.05);
        let error = if error.is_nan() { f64::MAX } else { error };
        let known = slopes.entry(sample.name.clone()).or_default();
        *known = known.max(error);
        if error > 0.02 {
            let reason = format!("the loss moves by {got:e} a step along a slope of {expected:e}");
            let (kernel, form) = ("the gradient".to_owned(), form.name.clone());
            found.refused.push(Refused { kernel, form, tried: sample.name, reason, instead: None });
        }
    }
    Ok(())
}

//! Every kernel against its twin on an adapter, over what operations and updates declare.

use super::bed::Bed;
use super::certificate::{Certificate, Checked, Refused};
use super::compared::{Compared, compare};
use super::forms::{Form, forms};
use super::gathers;
use super::trial::{Trial, walk};
use crate::Error;
use crate::engine::{self, Engine, Kernel, Program, Submission};
use crate::nn;
use crate::optim::{self, Next};
use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

/// How much is checked.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Every form, not those alone that a run takes here.
    pub all: bool,
    /// The kernels that are put to it.
    pub kernels: fn(&Kernel) -> bool,
}

/// Checks an adapter; `tell` hears what comes next.
///
/// What disagrees, and what the driver refuses, is in the certificate.
///
/// # Errors
/// From the device: out of memory, lost.
pub fn adapter(engine: &Engine, extent: &Extent, mut tell: impl FnMut(&str)) -> Result<Certificate, Error> {
    let started = Instant::now();
    let mut desk = Desk { extent, done: HashSet::new(), kernels: BTreeMap::new(), refused: Vec::new() };
    for form in forms(engine, extent.all) {
        let reference = form.on(&Engine::twins());
        for sample in nn::ops::samples() {
            tell(&sample.name);
            for (number, program) in Bed::new(&reference, &sample)?.programs()?.iter().enumerate() {
                desk.walk(&form, &reference, (&format!("{}, {number}", sample.name), program, 0))?;
            }
        }
        tell("updates");
        desk.updates(&form, &reference)?;
        for (number, trial) in gathers::trials(&reference).into_iter().enumerate() {
            let trial = trial.with_tails();
            let expected = trial.run(&reference)?;
            desk.put(&form, &format!("gather {number}"), number, &trial, &expected)?;
        }
    }
    let (adapter, driver) = engine.adapter().map_or_else(
        || (engine.name().to_owned(), String::new()),
        |adapter| (adapter.name.clone(), adapter.driver.clone()),
    );
    Ok(Certificate {
        adapter,
        driver,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        is_whole: extent.all,
        seconds: started.elapsed().as_secs_f64(),
        kernels: desk.kernels,
        slopes: BTreeMap::new(),
        refused: desk.refused,
    })
}

/// What has been found so far.
struct Desk<'a> {
    extent: &'a Extent,
    /// Trials that another form has had.
    done: HashSet<String>,
    kernels: BTreeMap<String, Checked>,
    refused: Vec<Refused>,
}

impl Desk<'_> {
    fn wants(&self, program: &Program) -> bool {
        program.dispatches.iter().any(|dispatch| (self.extent.kernels)(dispatch.kernel))
    }

    fn walk(
        &mut self,
        form: &Form,
        reference: &Engine,
        (tried, program, slot): (&str, &Program, u32),
    ) -> Result<(), Error> {
        if !self.wants(program) {
            return Ok(());
        }
        let mut place = 0;
        walk(reference, program, slot, |trial, expected| {
            place += 1;
            self.put(form, tried, place, &trial, &expected)
        })
    }

    /// Puts one trial to the engine, unless a form before this had the same.
    fn put(
        &mut self,
        form: &Form,
        tried: &str,
        place: usize,
        trial: &Trial,
        expected: &[Vec<u32>],
    ) -> Result<(), Error> {
        let key = format!("{tried} {place} {} {:?} {:?}", trial.kernel.name, trial.constants, trial.grid);
        if !(self.extent.kernels)(trial.kernel) || !self.done.insert(key) {
            return Ok(());
        }
        let started = Instant::now();
        let got = trial.run(&form.engine);
        let Compared { error, wrong } = match got {
            Ok(got) => compare(trial, &got, expected),
            Err(error @ (engine::Error::Validation { .. } | engine::Error::BadProgram { .. })) => {
                Compared { error: f64::INFINITY, wrong: Some(error.to_string()) }
            }
            Err(error) => return Err(error.into()),
        };
        let checked = self.kernels.entry(format!("{} ({})", trial.kernel.name, form.name)).or_default();
        checked.trials += 1;
        checked.error = checked.error.max(error);
        checked.seconds += started.elapsed().as_secs_f64();
        if let Some(reason) = wrong {
            let (kernel, form) = (trial.kernel.name.to_owned(), form.name.clone());
            self.refused.push(Refused { kernel, form, tried: tried.to_owned(), reason });
        }
        Ok(())
    }

    fn updates(&mut self, form: &Form, reference: &Engine) -> Result<(), Error> {
        for sample in optim::sample::samples() {
            let mut placed = sample.place(reference)?;
            let Next { uploads, program, slot, .. } = placed.optimizer.next(None)?;
            reference.submit(&Submission { uploads, ..Submission::default() })?;
            self.walk(form, reference, (&sample.name, program.program(), slot))?;
            if let Some(swap) = placed.optimizer.swap()? {
                self.walk(form, reference, (&format!("swap, {}", sample.name), swap.program(), 0))?;
            }
        }
        for (number, clip) in optim::sample::clips(reference)?.iter().enumerate() {
            self.walk(form, reference, (&format!("clip {number}"), clip.program(), 0))?;
        }
        Ok(())
    }
}

//! What trials have found so far, and how one is put to an engine.

use super::checked::{Checked, Refused, entry};
use super::compared::{Compared, compare};
use super::forms::Form;
use super::trial::{Trial, walk};
use crate::Error;
use crate::engine::{self, Dispatch, Engine, Kernel, Program};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// How long a kernel may take that has milliseconds of work.
const PATIENCE: Duration = Duration::from_secs(60);

/// What has been tried, and what of it was wrong.
#[derive(Debug, Default)]
pub struct Found {
    /// By kernel and form.
    pub kernels: BTreeMap<String, Checked>,
    /// What is not right.
    pub refused: Vec<Refused>,
    /// Trials that a form before this one has had.
    done: HashSet<String>,
    /// A kernel did not come back, and the device is lost with it.
    pub(super) is_stuck: bool,
}

impl Found {
    /// Walks a program on the reference, and puts those of its dispatches to the form's engine whose kernels are wanted.
    pub(super) fn walk(
        &mut self,
        form: &Form,
        wanted: &dyn Fn(&Kernel) -> bool,
        reference: &Engine,
        (tried, program, slot): (&str, &Program, u32),
    ) -> Result<(), Error> {
        let is_new = |(place, dispatch): (usize, &Dispatch)| {
            let trial = Trial::of(dispatch, Vec::new());
            wanted(dispatch.kernel) && !self.is_stuck && !self.done.contains(&key((tried, place), &trial))
        };
        let new: Vec<bool> = program.dispatches.iter().enumerate().map(is_new).collect();
        if !new.contains(&true) {
            return Ok(());
        }
        let is_new = |place: usize| new[place];
        walk(reference, program, (slot, &is_new), |place, trial, expected| {
            self.put(form, (tried, place), &trial, &expected)
        })
    }

    /// How often a kernel was tried in a form.
    pub(super) fn trials(&self, kernel: &Kernel, form: &Form) -> usize {
        self.kernels.get(&entry(kernel.name, &form.name)).map_or(0, |checked| checked.trials)
    }

    /// Puts one trial to the form's engine, unless a form before it had the same.
    pub(super) fn put(
        &mut self,
        form: &Form,
        (tried, place): (&str, usize),
        trial: &Trial,
        expected: &[Vec<u32>],
    ) -> Result<(), Error> {
        if self.is_stuck || !self.done.insert(key((tried, place), trial)) {
            return Ok(());
        }
        let (trial, expected) = match form.engine.adapter() {
            Some(_) => trial.with_tails(expected),
            None => (trial.clone(), expected.to_vec()),
        };
        let trial = Arc::new(trial);
        let started = Instant::now();
        let refused = |reason: String| Compared { error: f64::INFINITY, wrong: Some(reason) };
        let mut written = crc32fast::Hasher::new();
        let Compared { error, wrong } = match answer(&form.engine, &trial) {
            Some(Ok(got)) => {
                got.iter().for_each(|words| written.update(bytemuck::cast_slice(words)));
                compare(&trial, &got, &expected)
            }
            Some(Err(error @ (engine::Error::Validation { .. } | engine::Error::BadProgram { .. }))) => {
                refused(error.to_string())
            }
            Some(Err(error @ engine::Error::DeviceLost { .. })) => {
                self.is_stuck = true;
                refused(error.to_string())
            }
            Some(Err(error)) => return Err(error.into()),
            None => {
                self.is_stuck = true;
                refused(format!("it did not finish in {} s", PATIENCE.as_secs()))
            }
        };
        let checked = self.kernels.entry(entry(trial.kernel.name, &form.name)).or_default();
        checked.trials += 1;
        checked.error = checked.error.max(error).min(f64::MAX);
        checked.seconds += started.elapsed().as_secs_f64();
        checked.crc32 = checked.crc32.rotate_left(1) ^ written.finalize();
        if let Some(reason) = wrong {
            let (kernel, form) = (trial.kernel.name.to_owned(), form.name.clone());
            self.refused.push(Refused { kernel, form, tried: tried.to_owned(), reason, instead: None });
        }
        Ok(())
    }
}

/// The same for the same trial in any form.
fn key((tried, place): (&str, usize), trial: &Trial) -> String {
    format!("{tried} {place} {} {:?} {:?}", trial.kernel.name, trial.constants, trial.grid)
}

/// The results of a trial on an engine; `None` if the engine does not finish it.
fn answer(engine: &Engine, trial: &Arc<Trial>) -> Option<Result<Vec<Vec<u32>>, engine::Error>> {
    let (sender, receiver) = mpsc::channel();
    let (engine, trial) = (engine.clone(), Arc::clone(trial));
    std::thread::spawn(move || drop(sender.send(trial.run(&engine))));
    receiver.recv_timeout(PATIENCE).ok()
}

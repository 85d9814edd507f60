//! The host's cost of a step, while the device is idle.

use super::Target;
use super::step::{Quartiles, noise};
use super::workload;
use crate::Error;
use crate::engine::{Engine, Submission};
use crate::optim::{Optimizer, Parameters, Settings};
use std::time::Instant;

/// Rounds. A wait follows each call: a driver may hold a submission back until the previous one is done, and that is
/// not the host's time.
const ROUNDS: usize = 300;

/// Steps of one submission, where several share one.
const AT_ONCE: u32 = 8;

/// What an empty submission costs, times this, is what a step may cost.
const MOST: Target = Target::AtMost(1.5);

/// Microseconds of the host for one step of 101 tensors in 26 groups.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Host {
    /// The optimizer's call: table lookup, commands, submission, looking for reports.
    pub step_microseconds: Quartiles,
    /// An empty submission of the same engine, taken in turn: what the driver and wgpu take for nothing.
    pub empty_microseconds: Quartiles,
    /// The first by the second. Microseconds are the machine's; this is ours.
    pub ratio: Quartiles,
    /// What the project wants of the ratio.
    pub target: Target,
    /// Whether the median meets it.
    pub met: bool,
    /// One step's share of a submission of 8 steps, which brings no report back.
    pub shared_microseconds: Quartiles,
    /// That share by an empty submission.
    pub shared_ratio: Quartiles,
}

pub(super) fn measure(engine: &Engine) -> Result<Host, Error> {
    // Small tensors of the same number: what the host does does not depend on their sizes, and the device is out of the way.
    let tensors = workload::shrunk(&workload::encoder(), 4);
    let memory = Parameters::new(engine, &tensors, None)?;
    let mut optimizer = Optimizer::new(engine, &memory, &workload::layer_groups(&tensors), Settings::default())?;
    for tensor in &tensors {
        optimizer.upload_gradient(&tensor.name, &noise(tensor.elements(), 1e-3, 3))?;
    }
    let (mut steps, mut shares, mut empties) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let step = timed(engine, || {
            optimizer.step()?;
            std::hint::black_box(optimizer.stats()?);
            Ok(())
        })?;
        let several = timed(engine, || {
            steps_at_once(engine, &mut optimizer)?;
            std::hint::black_box(optimizer.stats()?);
            Ok(())
        })?;
        let empty = timed(engine, || Ok(engine.submit(&Submission::default())?))?;
        if round >= ROUNDS / 10 {
            steps.push(step);
            shares.push(several / f64::from(AT_ONCE));
            empties.push(empty);
        }
    }
    let by_empty =
        |times: &[f64]| Quartiles::of(times.iter().zip(&empties).map(|(time, empty)| time / empty).collect());
    let (ratio, shared_ratio) = (by_empty(&steps), by_empty(&shares));
    Ok(Host {
        step_microseconds: Quartiles::of(steps),
        empty_microseconds: Quartiles::of(empties),
        ratio,
        target: MOST,
        met: MOST.is_met(ratio.median()),
        shared_microseconds: Quartiles::of(shares),
        shared_ratio,
    })
}

/// Steps in one submission, as a run takes them where nothing between them needs the host.
fn steps_at_once(engine: &Engine, optimizer: &mut Optimizer) -> Result<(), Error> {
    let next = optimizer.next_many(None, AT_ONCE)?;
    let programs = [next.program; AT_ONCE as usize];
    let slots: Vec<u32> = (next.slot..).take(programs.len()).collect();
    let submission = Submission { uploads: next.uploads, programs: &programs, slots: &slots, ..Submission::default() };
    Ok(engine.submit(&submission)?)
}

/// Microseconds of a call.
fn timed(engine: &Engine, mut call: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    let started = Instant::now();
    call()?;
    let microseconds = started.elapsed().as_secs_f64() * 1e6;
    engine.wait()?;
    Ok(microseconds)
}

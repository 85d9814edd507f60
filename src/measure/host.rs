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
}

pub(super) fn measure(engine: &Engine) -> Result<Host, Error> {
    // Small tensors of the same number: what the host does does not depend on their sizes, and the device is out of the way.
    let tensors = workload::shrunk(&workload::encoder(), 4);
    let memory = Parameters::new(engine, &tensors, None)?;
    let mut optimizer = Optimizer::new(engine, &memory, &workload::layer_groups(&tensors), Settings::default())?;
    for tensor in &tensors {
        optimizer.upload_gradient(&tensor.name, &noise(tensor.elements(), 1e-3, 3))?;
    }
    let (mut steps, mut empties) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let step = timed(engine, || {
            optimizer.step()?;
            std::hint::black_box(optimizer.stats()?);
            Ok(())
        })?;
        let empty = timed(engine, || Ok(engine.submit(&Submission::default())?))?;
        if round >= ROUNDS / 10 {
            steps.push(step);
            empties.push(empty);
        }
    }
    let ratio = Quartiles::of(steps.iter().zip(&empties).map(|(step, empty)| step / empty).collect());
    let (step_microseconds, empty_microseconds) = (Quartiles::of(steps), Quartiles::of(empties));
    Ok(Host { step_microseconds, empty_microseconds, ratio, target: MOST, met: MOST.is_met(ratio.median()) })
}

/// Microseconds of a call.
fn timed(engine: &Engine, mut call: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    let started = Instant::now();
    call()?;
    let microseconds = started.elapsed().as_secs_f64() * 1e6;
    engine.wait()?;
    Ok(microseconds)
}

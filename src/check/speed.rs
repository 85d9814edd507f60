//! The speed of each kernel, relative to a copy of as many bytes.

use super::bed::Bed;
use crate::Error;
use crate::engine::kernels::COPY;
use crate::engine::{Dispatch, Engine, Program, Submission, count, row_of};
use crate::nn::ops::sample_at_size;
use crate::optim::sample::of_size;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// A submission takes about as long, so that its overhead is small.
const SUBMISSION_SECONDS: f64 = 2e-3;

/// Most that is done in a submission.
const TIMES: f64 = 64.0;

/// Submissions that are timed for a figure; it is the fastest.
const ROUNDS: usize = 3;

/// What a kernel reaches at a size of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Speed {
    /// The kernel.
    pub kernel: String,
    /// Seconds of a dispatch.
    pub seconds: f64,
    /// Multiplications and additions in a second, of a kernel that multiplies matrices.
    pub flops_per_second: Option<f64>,
    /// Bytes of the big streams in a second.
    pub bytes_per_second: f64,
    /// The share that this is of a copy of as many bytes.
    pub share_of_copy: f64,
}

/// The largest dispatch of each kernel in a layer of an encoder, forward and backward, and in AdamW's step.
pub(super) fn speeds(engine: &Engine) -> Result<Vec<Speed>, Error> {
    let (sizes, elements) = if engine.is_software() { ([4, 64], 4 << 20) } else { ([32, 128], 64 << 20) };
    let [layer, _] = Bed::new(engine, &sample_at_size(sizes))?.programs()?;
    let mut step = of_size(engine, elements)?;
    let step = step.optimizer.program()?;
    let mut largest: Vec<&Dispatch> = Vec::new();
    for dispatch in layer.dispatches.iter().chain(&step.dispatches).filter(|dispatch| dispatch.bytes > 0) {
        match largest.iter_mut().find(|known| known.kernel.name == dispatch.kernel.name) {
            Some(known) if known.bytes < dispatch.bytes => *known = dispatch,
            Some(_) => {}
            None => largest.push(dispatch),
        }
    }
    largest.into_iter().map(|dispatch| speed(engine, dispatch)).collect()
}

fn speed(engine: &Engine, dispatch: &Dispatch) -> Result<Speed, Error> {
    let seconds = seconds(engine, dispatch)?;
    let copied = self::seconds(engine, &copy(engine, dispatch.bytes)?)?;
    Ok(Speed {
        kernel: dispatch.kernel.name.to_owned(),
        seconds,
        flops_per_second: (dispatch.flops > 0).then(|| dispatch.flops as f64 / seconds),
        bytes_per_second: dispatch.bytes as f64 / seconds,
        share_of_copy: copied / seconds,
    })
}

/// A copy that reads and writes so many bytes.
fn copy(engine: &Engine, bytes: u64) -> Result<Dispatch, Error> {
    let half = (bytes / 2).clamp(16, engine.page_bytes()).next_multiple_of(16);
    let [from, to] = [engine.buffer("from", half)?, engine.buffer("to", half)?];
    let [workgroup, quads] = engine.sizes().copy;
    let groups = count("workgroups", (half / 16).div_ceil(u64::from(workgroup * quads)))?;
    Ok(Dispatch {
        kernel: COPY.plain(),
        bindings: vec![(&from).into(), (&to).into()],
        constants: vec![("WORKGROUP", f64::from(workgroup)), ("QUADS", f64::from(quads))],
        grid: row_of(groups),
        bytes: 2 * half,
        flops: 0,
    })
}

/// Of a dispatch, in a submission of many.
fn seconds(engine: &Engine, dispatch: &Dispatch) -> Result<f64, Error> {
    let timed = |times: usize| -> Result<f64, Error> {
        let dispatches = vec![dispatch.clone(); times];
        let program = engine.prepare(Program { label: "timed".to_owned(), dispatches })?;
        let mut least = f64::INFINITY;
        for _ in 0..ROUNDS {
            let started = Instant::now();
            engine.submit(&Submission { programs: &[&program], ..Submission::default() })?;
            engine.wait()?;
            least = least.min(started.elapsed().as_secs_f64() / times as f64);
        }
        Ok(least)
    };
    let once = timed(1)?;
    let times = (SUBMISSION_SECONDS / once).clamp(1.0, TIMES) as usize;
    if times > 1 { timed(times) } else { Ok(once) }
}

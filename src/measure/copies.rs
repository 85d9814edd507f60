//! How fast the device copies: by its own command, and by a kernel.

use super::step::rounds;
use super::stopwatch::Stopwatch;
use crate::Error;
use crate::engine::kernels::COPY;
use crate::engine::{Dispatch, Engine, Program, Range, Submission, count, row_of};

/// Bytes of a buffer that is copied, and how many are copied one after the other: more than any cache holds.
const BUFFER_BYTES: u64 = 64 << 20;
const BUFFERS: usize = 8;

/// A way to copy, and what it reaches.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Copy {
    /// `copy_buffer_to_buffer`, or the kernel's name.
    pub way: &'static str,
    /// Bytes read and written in one measurement.
    pub bytes: u64,
    /// Seconds of the device if it has timestamps, else from the submission to its end; the median.
    pub seconds: f64,
}

impl Copy {
    /// Bytes read and written in a second.
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.seconds
    }
}

pub(super) fn measure(engine: &Engine) -> Result<Vec<Copy>, Error> {
    let bytes = BUFFER_BYTES.min(engine.page_bytes());
    let buffers = (0..BUFFERS).map(|_| Ok(engine.buffer("copy", bytes)?.all()));
    let buffers: Vec<Range> = buffers.collect::<Result<_, Error>>()?;
    let copies: Vec<(Range, Range)> = buffers.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    let moved = 2 * bytes * copies.len() as u64;

    let [workgroup, quads] = engine.sizes().copy;
    let mut program = Program::new("copy");
    for (from, to) in &copies {
        program.dispatches.push(Dispatch {
            kernel: COPY.plain(),
            bindings: vec![from.clone().into(), to.clone().into()],
            constants: vec![("WORKGROUP", f64::from(workgroup)), ("QUADS", f64::from(quads))],
            grid: row_of(count("workgroups", (bytes / 16).div_ceil(u64::from(workgroup * quads)))?),
            bytes: 2 * bytes,
            flops: 0,
        });
    }
    let prepared = engine.prepare(program)?;
    let stopwatch = Stopwatch::new(engine)?;
    let programs = &[&prepared];
    let seconds =
        rounds([&mut || stopwatch.time(Submission { copies: copies.clone(), ..Submission::default() }), &mut || {
            stopwatch.time(Submission { programs, ..Submission::default() })
        }])?;
    let ways = ["copy_buffer_to_buffer", "copy"].into_iter().zip(seconds);
    Ok(ways.map(|(way, seconds)| Copy { way, bytes: moved, seconds }).collect())
}

//! Steps that are timed, and what their times say.

use super::stopwatch::{Seconds, Stopwatch};
use super::workload::elements;
use crate::Error;
use crate::engine::{Buffer, Engine, Range, Submission};
use crate::optim::{External, Optimizer, Precision, Settings};
use crate::params::{Group, Param, Storage};
use std::time::{Duration, Instant};

/// Pairs before those that count.
const WARM_UP_PAIRS: usize = 2;

/// Rounds for a time, and before them.
const ROUNDS: usize = 9;

/// Parameters and gradients that many steps share; moments are each step's own.
#[derive(Debug)]
pub struct Memory {
    engine: Engine,
    values: Buffer,
    gradients: Buffer,
}

impl Memory {
    /// Room for so many parameters.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn new(engine: &Engine, elements: usize) -> Result<Memory, Error> {
        Ok(Memory {
            engine: engine.clone(),
            values: engine.buffer_with("parameters", &noise(elements, 0.02, 1))?,
            gradients: engine.buffer_with("gradients", &noise(elements, 1e-3, 2))?,
        })
    }

    /// The tensors, one after the other.
    ///
    /// # Errors
    /// Too little room for them.
    pub fn together(&self, tensors: &[Param]) -> Result<Vec<External>, Error> {
        let mut at = 0;
        let place = |param: &Param| {
            let bytes = param.elements() as u64 * 4;
            let (values, gradient) = (self.values.range(at, bytes)?, self.gradients.range(at, bytes)?);
            at += bytes;
            Ok(External::new(param.clone(), values).gradient(gradient))
        };
        tensors.iter().map(place).collect()
    }

    /// The tensors in a buffer each, as most programs keep them.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn apart(&self, tensors: &[Param]) -> Result<Vec<External>, Error> {
        let copy = |range: Range| -> Result<Range, Error> {
            let buffer = self.engine.buffer("tensor", range.bytes)?;
            let copies = vec![(range, buffer.all())];
            self.engine.submit(&Submission { copies, ..Submission::default() })?;
            Ok(buffer.all())
        };
        let apart = |external: External| {
            let gradient = external.gradient.clone().map(copy).transpose()?;
            Ok(External { values: copy(external.values.clone())?, gradient, ..external })
        };
        self.together(tensors)?.into_iter().map(apart).collect()
    }

    /// The tensors and their gradients in one buffer, one after the other with no space between, and none at a vec4.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn packed(&self, tensors: &[Param]) -> Result<Vec<External>, Error> {
        let bytes = elements(tensors) as u64 * 4;
        let buffer = self.engine.buffer("packed", 2 * bytes + 16)?;
        let (values, gradients) = (buffer.range(4, bytes)?, buffer.range(bytes + 12, bytes)?);
        let from = [&self.values, &self.gradients].map(|whole| whole.range(0, bytes));
        let copies = from.into_iter().zip([values.clone(), gradients.clone()]);
        let copies = copies.map(|(from, to)| Ok((from?, to))).collect::<Result<_, Error>>()?;
        self.engine.submit(&Submission { copies, ..Submission::default() })?;
        let mut at = 0;
        let place = |param: &Param| {
            let bytes = param.elements() as u64 * 4;
            let lies = |range: &Range| range.buffer.range(range.offset + at, bytes);
            let external = External::new(param.clone(), lies(&values)?).gradient(lies(&gradients)?);
            at += bytes;
            Ok(external)
        };
        tensors.iter().map(place).collect()
    }

    /// The tensors one after the other in buffers of their own, values and gradients in bf16.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn halved(&self, tensors: &[Param]) -> Result<Vec<External>, Error> {
        // Each begins where arena mode can bind it.
        let bytes = |param: &Param| Storage::Bf16.bytes(param.elements() as u64).next_multiple_of(16);
        let elements = tensors.iter().map(bytes).sum::<u64>() as usize / 2;
        let half = |x: f32| (x.to_bits() >> 16) as u16;
        let made = |label: &str, scale: f32, seed: u64| {
            let halves: Vec<u16> = noise(elements, scale, seed).into_iter().map(half).collect();
            self.engine.buffer_with(label, &halves)
        };
        let (values, gradients) = (made("bf16 parameters", 0.02, 1)?, made("bf16 gradients", 1e-3, 2)?);
        let mut at = 0;
        let place = |param: &Param| {
            let whole = Storage::Bf16.bytes((param.elements() as u64).next_multiple_of(2));
            let (values, gradient) = (values.range(at, whole)?, gradients.range(at, whole)?);
            at += bytes(param);
            Ok(External::new(param.clone(), values).gradient(gradient).precision(Precision::Bf16))
        };
        tensors.iter().map(place).collect()
    }

    /// A step over these tensors.
    ///
    /// # Errors
    /// As [`Optimizer::over`].
    pub fn step(&self, externals: &[External], groups: &[Group], settings: Settings) -> Result<Step, Error> {
        Ok(Step::of(&self.engine, Optimizer::over(&self.engine, externals, groups, settings)?))
    }

    /// A step over all tensors in their arena, with these groups. Parameters in no group are frozen.
    ///
    /// # Errors
    /// As [`Optimizer::over`].
    pub fn fused(&self, tensors: &[Param], groups: &[Group], settings: Settings) -> Result<Step, Error> {
        self.step(&self.together(tensors)?, groups, settings)
    }

    /// Copies that move as many bytes as AdamW's step over all parameters: 14 read and 14 written a parameter.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn copy(&self) -> Result<Step, Error> {
        Step::copying(&self.engine, &[[self.values.all(), self.gradients.all()]])
    }
}

/// Numbers spread like real ones: many small, few large, none zero throughout.
pub(super) fn noise(elements: usize, scale: f32, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // The sum of four uniform numbers is close to a normal one.
        (0..4).map(|part| (state >> (16 * part)) as u16 as f32 / 65_536.0 - 0.5).sum::<f32>()
    };
    (0..elements).map(|_| next() * scale * 1.73).collect()
}

/// Something that can be done again and again on one engine.
#[derive(Debug)]
pub struct Step {
    engine: Engine,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Optimizer(Box<Optimizer>),
    Copy(Vec<(Range, Range)>, Stopwatch),
}

impl Step {
    pub(super) fn of(engine: &Engine, optimizer: Optimizer) -> Step {
        Step { engine: engine.clone(), work: Work::Optimizer(Box::new(optimizer)) }
    }

    /// Copies that move as many bytes as AdamW's step over these values and gradients: 14 read and 14 written a parameter.
    pub(super) fn copying(engine: &Engine, tensors: &[[Range; 2]]) -> Result<Step, Error> {
        let mut copies = Vec::with_capacity(4 * tensors.len());
        for [values, gradients] in tensors {
            let half = Range { bytes: gradients.bytes / 8 * 4, ..gradients.clone() };
            for from in [values.clone(), gradients.clone(), values.clone(), half] {
                let to = engine.buffer("copy", from.bytes)?.all();
                copies.push((from, to));
            }
        }
        Ok(Step { engine: engine.clone(), work: Work::Copy(copies, Stopwatch::new(engine)?) })
    }

    /// Takes one step, without a wait.
    ///
    /// # Errors
    /// From the device.
    pub fn submit(&mut self) -> Result<(), Error> {
        match &mut self.work {
            Work::Optimizer(optimizer) => {
                optimizer.step()?;
                std::hint::black_box(optimizer.stats()?);
            }
            Work::Copy(copies, _) => {
                self.engine.submit(&Submission { copies: copies.clone(), ..Submission::default() })?;
            }
        }
        Ok(())
    }

    /// Bytes read and written by one step, by the program's own count.
    ///
    /// # Errors
    /// From the device, if the program must be made first.
    pub fn bytes(&mut self) -> Result<u64, Error> {
        match &mut self.work {
            Work::Optimizer(optimizer) => Ok(optimizer.program()?.bytes()),
            Work::Copy(copies, _) => Ok(copies.iter().map(|(from, _)| 2 * from.bytes).sum()),
        }
    }

    /// Does it once and waits.
    ///
    /// # Errors
    /// From the device.
    pub fn time(&mut self) -> Result<Seconds, Error> {
        match &mut self.work {
            Work::Optimizer(optimizer) => {
                let started = Instant::now();
                optimizer.step()?;
                self.engine.wait()?;
                let wall = started.elapsed().as_secs_f64();
                let device = optimizer.stats()?.and_then(|stats| stats.device_seconds);
                Ok(Seconds::new(device, wall))
            }
            Work::Copy(copies, stopwatch) => {
                stopwatch.time(Submission { copies: copies.clone(), ..Submission::default() })
            }
        }
    }

    /// Does it so many times, with one wait at the end.
    ///
    /// # Errors
    /// From the device.
    pub fn run(&mut self, steps: u64) -> Result<Duration, Error> {
        let start = Instant::now();
        for _ in 0..steps {
            self.submit()?;
        }
        self.engine.wait()?;
        Ok(start.elapsed())
    }
}

/// Lower quartile, median and upper quartile.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Quartiles(pub [f64; 3]);

impl Quartiles {
    /// Of these values, which are not none.
    pub fn of(mut values: Vec<f64>) -> Quartiles {
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| values.get(values.len().saturating_sub(1) * quarter / 4).copied().unwrap_or(f64::NAN);
        Quartiles([1, 2, 3].map(at))
    }

    /// The middle one.
    pub fn median(&self) -> f64 {
        self.0[1]
    }
}

pub(super) fn median(values: Vec<f64>) -> f64 {
    Quartiles::of(values).median()
}

/// The ratios of the first step's times to the second's, and milliseconds of each, medians.
pub(super) fn pairs(first: &mut Step, second: &mut Step, pairs: usize) -> Result<(Quartiles, [f64; 2]), Error> {
    let (mut ratios, mut times) = (Vec::new(), [Vec::new(), Vec::new()]);
    for pair in 0..WARM_UP_PAIRS + pairs {
        let taken = [first.time()?, second.time()?];
        if pair >= WARM_UP_PAIRS {
            ratios.push(taken[0].by(&taken[1]));
            times.iter_mut().zip(&taken).for_each(|(times, taken)| times.push(taken.best() * 1e3));
        }
    }
    Ok((Quartiles::of(ratios), times.map(median)))
}

/// Median seconds of each piece of work, taken in turn.
pub(super) fn rounds<const N: usize>(
    mut works: [&mut dyn FnMut() -> Result<Seconds, Error>; N],
) -> Result<[f64; N], Error> {
    let mut seconds = [const { Vec::new() }; N];
    for round in 0..=ROUNDS {
        for (work, seconds) in works.iter_mut().zip(&mut seconds) {
            let taken = work()?;
            if round > 0 {
                seconds.push(taken.best());
            }
        }
    }
    Ok(seconds.map(median))
}

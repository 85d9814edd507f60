//! Which tiling is fastest for which kernel and sizes, tried on the adapter.

use super::stopwatch::Stopwatch;
use super::subject::{self, Subject};
use crate::Error;
use crate::engine::{Choices, Engine, Prepared, Range, Submission, Tiling};
use std::time::{Duration, Instant};

/// Rows of a batch that layers are timed with: 16 sequences of 64 tokens.
const ROWS: usize = 1024;

/// Numbers of the largest head that is timed.
const MOST_HEAD: usize = 128;

/// Sizes that fill no tile and need several of each, but keep to vec4s: the pipelines are those that are timed.
const ODD: [Work; 2] = [Work::Layer([203, 196, 234]), Work::Attention([77, 20])];

/// Rounds of all tilings in turn for a choice.
const ROUNDS: usize = 5;

/// A submission takes about as long, so that its overhead is small.
const SUBMISSION: Duration = Duration::from_micros(500);

/// Most that is done in a submission.
const TIMES: f64 = 32.0;

/// Another tiling than the usual one must be faster by so much.
const GAIN: f64 = 0.9;

/// Numbers that are compared at each end of a result.
const COMPARED: u64 = 64 << 10;

/// Finds the fastest tiling of each kernel for each class of sizes, from small to large until the time is up; the classes
/// that are left keep what the engine chooses `otherwise`. Kernels are compiled before the time begins.
///
/// A tiling is tried only if its results are those of the twins at sizes that fill no tile, and taken only if they are
/// those of registers at the class's own: one that a driver gets wrong never wins.
///
/// # Errors
/// From the device.
pub fn choices(engine: &Engine, time: Duration) -> Result<Choices, Error> {
    let mut found = Choices::all(engine.choices().otherwise);
    let right = right(engine)?;
    if !right.iter().all(|(_, tilings)| tilings.contains(&found.otherwise)) {
        found.otherwise = Tiling::Registers;
    }
    let (stopwatch, started) = (Stopwatch::new(engine)?, Instant::now());
    for work in classes() {
        let subjects = match work.subjects(engine) {
            Err(error) if super::is_about_room(&error) => continue,
            subjects => subjects?,
        };
        for subject in &subjects {
            if started.elapsed() > time {
                return Ok(found);
            }
            let [inputs, outputs] = subject.sizes;
            let tilings = right.iter().find(|(kernel, _)| *kernel == subject.kernel);
            let tilings = tilings.map_or(&[][..], |(_, tilings)| tilings);
            let chosen = fastest(engine, &stopwatch, subject, tilings, found.otherwise)?;
            found.chosen.insert(Choices::key(subject.kernel, inputs, outputs), chosen);
        }
    }
    Ok(found)
}

/// What several kernels are timed over.
#[derive(Clone, Copy)]
enum Work {
    Layer([usize; 3]),
    /// Tokens of an example, numbers of a head.
    Attention([usize; 2]),
}

impl Work {
    fn subjects(self, engine: &Engine) -> Result<[Subject; 3], Error> {
        match self {
            Work::Layer(sizes) => subject::layer(engine, sizes),
            Work::Attention(sizes) => subject::attention(engine, sizes),
        }
    }
}

/// Each class of layers, then of attention, those with the fewest products first.
fn classes() -> Vec<Work> {
    let sizes = || Choices::classes().map(|size| size as usize);
    let pairs = || sizes().flat_map(|first| sizes().map(move |second| [first, second]));
    let layers = pairs().map(|[inputs, outputs]| (inputs * outputs, Work::Layer([ROWS, inputs, outputs])));
    let heads = pairs().filter(|[_, head]| *head <= MOST_HEAD);
    let heads = heads.map(|[context, head]| (8 * context * head, Work::Attention([context, head])));
    let mut classes: Vec<(usize, Work)> = layers.chain(heads).collect();
    classes.sort_by_key(|(products, _)| *products);
    classes.into_iter().map(|(_, work)| work).collect()
}

/// The tilings of each kernel that the device has room for and gets right.
fn right(engine: &Engine) -> Result<Vec<(&'static str, Vec<Tiling>)>, Error> {
    let twins = Engine::twins();
    let mut right = Vec::new();
    for work in ODD {
        for (subject, reference) in work.subjects(engine)?.into_iter().zip(work.subjects(&twins)?) {
            let expected = fresh(&twins, &reference)?;
            let mut tilings = Vec::new();
            for tiling in Tiling::ALL.into_iter().filter(|tiling| tiling.fits(engine)) {
                let engine = engine.choosing(Choices::all(tiling));
                if agree(&fresh(&engine, &subject)?, &expected) {
                    tilings.push(tiling);
                }
            }
            right.push((subject.kernel, tilings));
        }
    }
    Ok(right)
}

/// The fastest tiling whose results are those of the first one; `usual`, unless another is clearly faster.
fn fastest(
    engine: &Engine,
    stopwatch: &Stopwatch,
    subject: &Subject,
    tilings: &[Tiling],
    usual: Tiling,
) -> Result<Tiling, Error> {
    let mut tried: Vec<(Tiling, Prepared, f64)> = Vec::new();
    let mut expected: Option<Vec<f32>> = None;
    for tiling in tilings {
        let engine = engine.choosing(Choices::all(*tiling));
        let once = subject.prepare(&engine, 1)?;
        // Attention has one tiling by tiles, under every name.
        if tried.iter().any(|(_, known, _)| pipeline(known) == pipeline(&once)) {
            continue;
        }
        let got = fresh(&engine, subject)?;
        let seconds = run(stopwatch, &once)?;
        if agree(&got, expected.get_or_insert_with(|| got.clone())) {
            let times = (SUBMISSION.as_secs_f64() / seconds).clamp(1.0, TIMES) as usize;
            tried.push((*tiling, subject.prepare(&engine, times)?, f64::INFINITY));
        }
    }
    for _ in 0..ROUNDS {
        let best = tried.iter().map(|(_, _, seconds)| *seconds).fold(f64::INFINITY, f64::min);
        // A form that is far slower is not timed again. The usual one is: a disturbance may have slowed it.
        let asked = |(tiling, _, seconds): &&mut (Tiling, Prepared, f64)| {
            *tiling == usual || *seconds < 2.0 * best || best.is_infinite()
        };
        for (_, program, seconds) in tried.iter_mut().filter(asked) {
            let each = run(stopwatch, program)? / program.program().dispatches.len() as f64;
            *seconds = seconds.min(each);
        }
    }
    let seconds = |tried: &(Tiling, Prepared, f64)| if tried.0 == usual { GAIN * tried.2 } else { tried.2 };
    let best = tried.iter().min_by(|one, other| seconds(one).total_cmp(&seconds(other)));
    Ok(best.map_or(Tiling::Registers, |(tiling, ..)| *tiling))
}

fn pipeline(program: &Prepared) -> Option<(&str, &[(&'static str, f64)])> {
    program.program().dispatches.first().map(|dispatch| (dispatch.kernel.name, &dispatch.constants[..]))
}

fn run(stopwatch: &Stopwatch, program: &Prepared) -> Result<f64, Error> {
    Ok(stopwatch.time(Submission { programs: &[program], ..Submission::default() })?.best())
}

/// The first and the last numbers of a subject's results, in cleared memory.
fn fresh(engine: &Engine, subject: &Subject) -> Result<Vec<f32>, Error> {
    let (result, program) = (&subject.result, subject.prepare(engine, 1)?);
    let clears = vec![result.clone()];
    engine.submit(&Submission { clears, programs: &[&program], ..Submission::default() })?;
    let bytes = result.bytes.min(4 * COMPARED);
    let mut numbers = engine.read(&Range { bytes, ..result.clone() })?;
    numbers.extend(engine.read::<f32>(&Range {
        offset: result.offset + result.bytes - bytes,
        bytes,
        ..result.clone()
    })?);
    Ok(numbers)
}

/// Whether two results are the same but for rounding: a thousandth of their size, far above what f32 rounds in a sum of
/// thousands and far below what a product too many makes.
fn agree(got: &[f32], expected: &[f32]) -> bool {
    let squares: f64 = expected.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    let most = 1e-3 * (squares / expected.len() as f64).sqrt();
    got.len() == expected.len()
        && got.iter().zip(expected).all(|(got, expected)| f64::from((got - expected).abs()) <= most)
}

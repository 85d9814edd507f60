//! Which tiling is fastest for which layer, tried on the adapter.

use super::layer::{Layer, Pass};
use crate::Error;
use crate::engine::{Choices, Engine, Prepared, Range, Submission, Tiling};
use std::time::{Duration, Instant};

/// Rows of a batch that layers are timed with: 16 sequences of 64 tokens.
const ROWS: usize = 1024;

/// Sizes that fill no tile and need several of each, but keep to vec4s: the pipelines are those that are timed.
const ODD: [usize; 3] = [203, 196, 234];

/// Rounds of all tilings in turn behind a choice.
const ROUNDS: usize = 3;

/// A submission takes about as long, so that what it costs by itself is small beside it.
const SUBMISSION: Duration = Duration::from_micros(500);

/// Most that is done in a submission.
const TIMES: f64 = 32.0;

/// Another tiling than the usual one has to be faster by so much.
const GAIN: f64 = 0.95;

/// Numbers that are compared at each end of a result.
const COMPARED: u64 = 16 << 10;

/// Finds the fastest tiling of each pass for each class of layers, from small to large until the time is up; the classes
/// that are left keep what the engine chooses `otherwise`. Kernels are compiled before the time begins.
///
/// A tiling is tried only if its results are those of the twins at sizes that fill no tile, and taken only if they are
/// those of registers at the class's own: one that a driver gets wrong never wins.
///
/// # Errors
/// From the device.
pub fn choices(engine: &Engine, time: Duration) -> Result<Choices, Error> {
    let mut found = Choices::all(engine.choices().otherwise);
    let fit: Vec<Tiling> = Tiling::ALL.into_iter().filter(|tiling| tiling.fits(engine)).collect();
    let odd = Layer::new(engine, ODD)?;
    let twins = Engine::twins();
    let reference = Layer::new(&twins, ODD)?;
    let mut right = Vec::new();
    for pass in Pass::ALL {
        run(&twins, &reference.prepare(&twins, pass, 1)?)?;
        let expected = twins.read(reference.result(pass))?;
        let mut candidates = Vec::new();
        for tiling in &fit {
            let engine = engine.choosing(Choices::all(*tiling));
            run(&engine, &odd.prepare(&engine, pass, 1)?)?;
            if agree(&engine.read(odd.result(pass))?, &expected) {
                candidates.push(*tiling);
            }
        }
        right.push((pass, candidates));
    }
    if !right.iter().all(|(_, candidates)| candidates.contains(&found.otherwise)) {
        found.otherwise = Tiling::Registers;
    }
    let started = Instant::now();
    for [inputs, outputs] in classes() {
        let layer = match Layer::new(engine, [ROWS, inputs, outputs]) {
            Err(error) if super::is_about_room(&error) => continue,
            layer => layer?,
        };
        for (pass, candidates) in &right {
            if started.elapsed() > time {
                return Ok(found);
            }
            let key = Choices::key(pass.kernel(), inputs as u32, outputs as u32);
            found.chosen.insert(key, fastest(engine, &layer, *pass, candidates, found.otherwise)?);
        }
    }
    Ok(found)
}

/// Inputs and outputs of a layer of each class, those with the fewest products first.
fn classes() -> Vec<[usize; 2]> {
    let sizes = || Choices::classes().map(|size| size as usize);
    let mut classes: Vec<[usize; 2]> =
        sizes().flat_map(|inputs| sizes().map(move |outputs| [inputs, outputs])).collect();
    classes.sort_by_key(|[inputs, outputs]| inputs * outputs);
    classes
}

/// The fastest tiling whose results are those of the first one; `usual`, unless another is clearly faster.
fn fastest(engine: &Engine, layer: &Layer, pass: Pass, candidates: &[Tiling], usual: Tiling) -> Result<Tiling, Error> {
    let mut tried: Vec<(Tiling, Prepared, f64)> = Vec::new();
    let mut expected: Option<Vec<f32>> = None;
    for tiling in candidates {
        let engine = engine.choosing(Choices::all(*tiling));
        let once = layer.prepare(&engine, pass, 1)?;
        run(&engine, &once)?;
        let (got, seconds) = (ends(&engine, layer.result(pass))?, run(&engine, &once)?);
        if !agree(&got, expected.get_or_insert_with(|| got.clone())) {
            continue;
        }
        let times = (SUBMISSION.as_secs_f64() / seconds).clamp(1.0, TIMES) as usize;
        tried.push((*tiling, layer.prepare(&engine, pass, times)?, f64::INFINITY));
    }
    for _ in 0..ROUNDS {
        let best = tried.iter().map(|(_, _, seconds)| *seconds).fold(f64::INFINITY, f64::min);
        // Who is far behind is not asked again.
        for (_, program, seconds) in
            tried.iter_mut().filter(|(_, _, seconds)| *seconds < 2.0 * best || best.is_infinite())
        {
            let each = run(engine, program)? / program.program().dispatches.len() as f64;
            *seconds = seconds.min(each);
        }
    }
    let seconds = |tried: &(Tiling, Prepared, f64)| if tried.0 == usual { GAIN * tried.2 } else { tried.2 };
    let best = tried.iter().min_by(|one, other| seconds(one).total_cmp(&seconds(other)));
    Ok(best.map_or(Tiling::Registers, |(tiling, ..)| *tiling))
}

/// Seconds from the submission to its end.
fn run(engine: &Engine, program: &Prepared) -> Result<f64, Error> {
    let started = Instant::now();
    engine.submit(&Submission { programs: vec![program], ..Submission::default() })?;
    engine.wait()?;
    Ok(started.elapsed().as_secs_f64())
}

/// The first numbers of a result and the last.
fn ends(engine: &Engine, result: &Range) -> Result<Vec<f32>, Error> {
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

//! How far two engines are apart in what a kernel wrote.

use super::trial::{JUNK, TAIL, Trial};
use crate::engine::kernels::{ADAMW_INT8, Flag, TALLY, ValueStorage};
use crate::engine::layout::{Metrics, Squares};
use crate::engine::{Access, Kernel};
use half::bf16;

/// Largest error of a number, relative to its own size or to that of its neighbours, whichever is larger.
///
/// Sums have another order and other roundings on a device: a product of two numbers is off by 6e-8, a sum of thousands by
/// some 1e-6, and Vulkan lets `exp` be off by 2e-6 at the sizes that occur.
const BOUND: f64 = 5e-5;

/// The same where differences of nearly equal numbers are taken: a row without its mean, scores without theirs.
const BOUND_OF_DIFFERENCES: f64 = 1e-3;

/// What is stored in fewer bits may be rounded to the other neighbour where f32 is just at the edge: one number in so many,
/// and by no more than the last bit.
const SELDOM: usize = 200;

/// What two runs of a trial differ in.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Compared {
    /// The largest error of a number, relative to itself or to the root mean square of its binding, whichever is larger.
    pub error: f64,
    /// If it is out of bounds: the binding, the place, both values.
    pub wrong: Option<String>,
}

/// How to read the words of a binding.
#[derive(Clone, Copy, PartialEq)]
enum Words {
    /// f32, and among them counts and marks, which are small.
    Numbers,
    /// Sums of squares, each with a mark that only tells whether a gradient is finite.
    Squares,
    /// What a loss counts: its sum is a fixed-point number of two words.
    Metrics,
    /// Two bf16.
    Halves,
    /// Two numbers of a value in 16 bits.
    Values(ValueStorage),
    /// Four codes of 8 bits.
    Codes,
}

/// Compares what a trial left with what it should have left.
pub fn compare(trial: &Trial, got: &[Vec<u32>], expected: &[Vec<u32>]) -> Compared {
    let mut all = Compared { error: 0.0, wrong: None };
    let bound = bound(trial.kernel);
    for (place, access) in trial.kernel.bindings.iter().enumerate() {
        let (got, expected) = (&got[place][..], &expected[place][..]);
        let (error, wrong) = match (access, words_of(trial.kernel, place)) {
            (Access::ReadWrite, Words::Halves) => rounded(&halves(got), &halves(expected), 1.0 / 128.0),
            (Access::ReadWrite, Words::Codes) => codes(got, expected),
            (Access::ReadWrite, Words::Values(storage)) => values(storage, got, expected, bound),
            (Access::ReadWrite, words) => {
                let [got, expected] = [got, expected].map(|memory| readable(words, memory));
                numbers(&got, &expected, size_of_terms(trial, words), bound)
            }
            (Access::Read | Access::ReadShared | Access::Uniform, _) if got != expected => {
                (f64::INFINITY, Some(" is only read".to_owned()))
            }
            _ => continue,
        };
        all.error = all.error.max(error);
        all.wrong = all.wrong.or_else(|| wrong.map(|wrong| format!("binding {place}{wrong}")));
    }
    all
}

fn bound(kernel: &Kernel) -> f64 {
    if kernel.family.takes_differences { BOUND_OF_DIFFERENCES } else { BOUND }
}

fn words_of(kernel: &Kernel, place: usize) -> Words {
    let is_last = place + 1 == kernel.bindings.len();
    let slots = kernel.slots();
    let is_moment = (2..2 + slots.min(2)).contains(&place) || (7..5 + slots).contains(&place);
    let params = 2 + slots.min(2);
    let (storage, values) = kernel.values();
    if values.contains(&place) {
        Words::Values(storage)
    } else if *kernel.family == TALLY {
        Words::Metrics
    } else if kernel.has(Flag::Squares) && is_last {
        Words::Squares
    } else if *kernel.family == ADAMW_INT8 && is_moment {
        Words::Codes
    } else if kernel.has(Flag::Params16) && place == params || kernel.has(Flag::Bf16) && is_moment {
        Words::Halves
    } else {
        Words::Numbers
    }
}

/// Words that are not numbers, as numbers.
fn readable(words: Words, memory: &[u32]) -> Vec<u32> {
    let mut memory = memory.to_vec();
    let records = without_tail(&memory).len();
    match words {
        Words::Metrics => {
            let metrics: Metrics = bytemuck::cast_slice(&memory[..size_of::<Metrics>() / 4])[0];
            (memory[5], memory[6]) = ((metrics.exact_sum() as f32).to_bits(), 0);
        }
        Words::Squares => {
            for squares in bytemuck::cast_slice_mut::<u32, Squares>(&mut memory[..records / 2 * 2]) {
                squares.mark = u32::from(squares.is_bad());
            }
        }
        _ => {}
    }
    memory
}

/// The size of what a sum over the rows of a batch adds up. Where terms cancel, their sum is as exact as they are.
fn size_of_terms(trial: &Trial, words: Words) -> f64 {
    if !trial.kernel.family.adds_rows {
        return 0.0;
    }
    let size = root_mean_square(&trial.memory[0]);
    if words == Words::Squares { size * size } else { size }
}

/// Words that are not numbers: counts, marks and places.
fn is_count(word: u32) -> bool {
    word & 0x7f80_0000 == 0 && word & 0x7f_ffff != 0
}

fn numbers(got: &[u32], expected: &[u32], least: f64, bound: f64) -> (f64, Option<String>) {
    let size = root_mean_square(expected).max(least);
    let mut worst = (0.0, None);
    for (place, (g, e)) in got.iter().zip(expected).enumerate().filter(|(_, (g, e))| g != e) {
        let (a, b) = (f32::from_bits(*g), f32::from_bits(*e));
        let error = if is_count(*g) || is_count(*e) {
            f64::INFINITY
        } else if a.is_nan() && b.is_nan() || a == b {
            0.0
        } else {
            (f64::from(a) - f64::from(b)).abs() / f64::from(b).abs().max(size)
        };
        let error = if error.is_nan() { f64::INFINITY } else { error };
        if error > worst.0 {
            worst = (error, Some(format!("[{place}]: {a:e}, not {b:e} ({g:#x}, {e:#x})")));
        }
    }
    let (error, place) = worst;
    (error, place.filter(|_| error > bound))
}

/// An array as it is, if there is a tail after it.
fn without_tail(words: &[u32]) -> &[u32] {
    let end = words.len().saturating_sub(TAIL);
    if words[end..].iter().all(|word| *word == JUNK.to_bits()) { &words[..end] } else { words }
}

/// Of an array's numbers.
fn root_mean_square(words: &[u32]) -> f64 {
    let numbers = without_tail(words).iter().map(|word| f64::from(f32::from_bits(*word)));
    let (sum, count) =
        numbers.filter(|n| n.is_finite()).fold((0.0, 0usize), |(sum, count), n| (sum + n * n, count + 1));
    (sum / count.max(1) as f64).sqrt().max(f64::MIN_POSITIVE)
}

fn halves(words: &[u32]) -> Vec<f64> {
    let both = |word: &u32| [*word as u16, (*word >> 16) as u16];
    words.iter().flat_map(both).map(|half| f64::from(bf16::from_bits(half).to_f32())).collect()
}

/// Numbers of few bits: the same, but for the last bit of a few.
fn rounded(got: &[f64], expected: &[f64], last_bit: f64) -> (f64, Option<String>) {
    let apart = |(a, b): (&f64, &f64)| if a == b || a.is_nan() && b.is_nan() { 0.0 } else { (a - b).abs() / b.abs() };
    let errors: Vec<f64> = got.iter().zip(expected).map(apart).collect();
    let differing = errors.iter().filter(|error| **error > 0.0).count();
    let far = errors.iter().position(|error| error.is_nan() || *error > last_bit * 1.01);
    let wrong = match far {
        Some(place) => Some(format!("[{place}]: {:e}, not {:e}", got[place], expected[place])),
        None if differing > errors.len() / SELDOM + 2 => Some(format!(": {differing} of {} differ", errors.len())),
        None => None,
    };
    (if wrong.is_some() { f64::INFINITY } else { 0.0 }, wrong)
}

/// Numbers that were made in f32 and rounded to 16 bits: the last bit more than what f32 may be off by, and that seldom.
fn values(storage: ValueStorage, got: &[u32], expected: &[u32], bound: f64) -> (f64, Option<String>) {
    let numbers = |words: &[u32]| storage.widen(without_tail(words));
    let (got, expected) = (numbers(got), numbers(expected));
    let size = root_mean_square(&expected);
    let last_bit = storage.last_bit();
    let mut worst = (0.0, None);
    let mut differing = 0;
    for (place, (g, e)) in got.iter().zip(&expected).enumerate().filter(|(_, (g, e))| g != e) {
        let [a, b] = [g, e].map(|bits| f64::from(f32::from_bits(*bits)));
        if a == b || a.is_nan() && b.is_nan() {
            continue;
        }
        // Next to nothing is known of numbers that are small beside their neighbours.
        differing += usize::from(b.abs() > size);
        let error = ((a - b).abs() - last_bit * b.abs().max(storage.least())).max(0.0) / b.abs().max(size);
        let error = if error.is_nan() { f64::INFINITY } else { error };
        if error > worst.0 {
            worst = (error, Some(format!("[{place}]: {a:e}, not {b:e}")));
        }
    }
    let (error, place) = worst;
    let often = (differing > expected.len() / 20 + 2).then(|| format!(": {differing} of {} differ", expected.len()));
    (if often.is_some() { f64::INFINITY } else { error }, place.filter(|_| error > bound).or(often))
}

fn codes(got: &[u32], expected: &[u32]) -> (f64, Option<String>) {
    let bytes = |words: &[u32]| bytemuck::cast_slice::<u32, u8>(words).to_vec();
    let (got, expected) = (bytes(got), bytes(expected));
    let differing = got.iter().zip(&expected).filter(|(a, b)| a != b).count();
    let far = got.iter().zip(&expected).filter(|(a, b)| a.abs_diff(**b) > 1).count();
    let too_many = differing > got.len() / SELDOM + 2 || far > got.len() / (10 * SELDOM) + 16;
    let wrong = too_many.then(|| format!(": {differing} of {} codes differ, {far} by more than 1", got.len()));
    (if wrong.is_some() { f64::INFINITY } else { 0.0 }, wrong)
}

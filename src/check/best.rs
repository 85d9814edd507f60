//! What the kernels are tried with that find and keep the best copy: evaluations of every kind, and spans of a page.

use super::trial::{JUNK, Trial};
use crate::engine::kernels::{JUDGE, KEEP};
use crate::engine::layout::{Metrics, Span, Standing, pcg};
use crate::engine::{Engine, row_of};

/// Evaluations that are judged one by one, each against the score of another.
const EVALUATIONS: u32 = 24;

fn words<T: bytemuck::NoUninit>(records: &[T]) -> Vec<u32> {
    bytemuck::cast_slice(records).to_vec()
}

/// Trials with an engine's sizes.
pub(super) fn trials(engine: &Engine) -> Vec<Trial> {
    let mut all: Vec<Trial> = (0..EVALUATIONS).map(judged).collect();
    for (known, best) in [(0, 0), (1, 0), (1, 1)] {
        for where_known in [0.0, 1.0] {
            all.push(kept(engine, Standing { score: 1.0, known, best, pad0: 0 }, where_known));
        }
    }
    all
}

fn judged(number: u32) -> Trial {
    let rows = if number == 0 { 0 } else { pcg(number) % 1000 + 1 };
    let loss_sum = match number {
        1 => f32::NAN,
        2 => f32::INFINITY,
        _ => 1.0,
    };
    let (correct, loss_whole, loss_part) = (pcg(number ^ 1) % (rows + 1), pcg(number ^ 2) % 3000, pcg(number ^ 3));
    let metrics = Metrics { loss_sum, correct, rows, loss_whole, loss_part, ..Metrics::default() };
    let standing = Standing { score: (number % 3) as f32, known: number & 1, ..Standing::default() };
    let flag = |bit: u32| f64::from(number >> bit & 1);
    let constants = vec![("ACCURACY", flag(1)), ("HIGHER", flag(2))];
    let memory = vec![words(&[metrics]), words(&[standing])];
    Trial { kernel: JUDGE.plain(), constants, grid: [1, 1, 1], slot: 0, memory }
}

fn kept(engine: &Engine, standing: Standing, where_known: f64) -> Trial {
    let span = |source, copy, quads| Span { source, copy, quads, pad0: 0 };
    let spans = [span(0, 300, 257), span(400, 0, 1), span(500, 7, 64), span(300, 600, 100)];
    let source: Vec<u32> = (0..4 * 700).map(pcg).map(|word| word >> 9 | 0x3f80_0000).collect();
    let memory = vec![words(&[standing]), words(&spans), source, vec![JUNK.to_bits(); 4 * 700]];
    let constants = vec![("WORKGROUP", f64::from(engine.sizes().chunk)), ("KNOWN", where_known)];
    Trial { kernel: KEEP.plain(), constants, grid: row_of(spans.len() as u32), slot: 0, memory }
}

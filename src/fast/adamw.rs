//! Fast form of [`twin::optim::adamw`](crate::twin::optim::adamw).

use crate::twin::optim::Stretch;
use crate::twin::shared::{Chunk, Element, OF_PARAMS, Record, Segment, Stored, pcg, rounding_key, split_control};
use rayon::prelude::*;
use std::ops::Range;

/// Elements that are stepped together. The words that round them are made before, one by one: shifts by a number that
/// each lane has for itself would keep the whole step from being made several at once.
const BLOCK: usize = 512;

/// One step of every chunk of a segment, chunks shared out among the cores: to the bit what the twin gives.
#[allow(clippy::too_many_arguments, reason = "the twin's")]
pub fn adamw<S: Stored, P: Stored, G: Stored>(
    chunks: &[Chunk],
    control: &[u32],
    m: &mut [S],
    v: &mut [S],
    params: &mut [P],
    grads: &[G],
    segment: &Segment,
    v_max: Option<&mut [S]>,
    average: Option<&mut [f32]>,
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    let chunks = segment.of(chunks);
    let of_state = || chunks.iter().map(Chunk::of_state);
    let mut v_max = v_max.map(|v_max| parts(v_max, of_state()).into_iter());
    let mut average = average.map(|average| parts(average, of_state()).into_iter());
    let moments = parts(m, of_state()).into_iter().zip(parts(v, of_state()));
    let params = parts(params, chunks.iter().map(Chunk::of_params));
    let stretch = |((chunk, (m, v)), params)| {
        let v_max = v_max.as_mut().and_then(Iterator::next);
        let average = average.as_mut().and_then(Iterator::next);
        (
            chunk,
            Stretch {
                m,
                v,
                params,
                grads: &grads[Chunk::of_grads(chunk, records[chunk.tensor as usize].grad)],
                v_max,
                average,
            },
        )
    };
    let stretches: Vec<_> = chunks.iter().zip(moments).zip(params).map(stretch).collect();
    // The same in every chunk.
    let places: Vec<u32> = if P::IS_ROUNDED_BY_CHANCE { (0..longest(chunks)).map(pcg).collect() } else { Vec::new() };
    stretches.into_par_iter().for_each(|(chunk, stretch)| {
        let record = &records[chunk.tensor as usize];
        match stretch {
            Stretch { m, v, params, grads, v_max: None, average: None } => {
                let key = rounding_key(segment.seed, chunk.tensor, record.count, chunk.number) ^ OF_PARAMS;
                let blocks = m.chunks_mut(BLOCK).zip(v.chunks_mut(BLOCK));
                for (at, ((m, v), params)) in blocks.zip(params.chunks_mut(BLOCK)).enumerate() {
                    let mut words = [0; BLOCK];
                    for (word, place) in words.iter_mut().zip(places.iter().skip(at * BLOCK)) {
                        *word = pcg(place ^ key);
                    }
                    block(*record, stats.value_bound, [m, v], params, &grads[at * BLOCK..], &words);
                }
            }
            stretch => stretch.step(chunk, record, stats.value_bound, segment.seed),
        }
    });
}

fn longest(chunks: &[Chunk]) -> u32 {
    chunks.iter().map(|chunk| chunk.length).max().unwrap_or(0)
}

/// The step of a block without a maximum and an average, by the words that round its parameters. Most blocks clamp no
/// value and decay apart from the gradient: their loop is one of its own and asks nothing of an element. Twice as many
/// elements at once where there is AVX2; each has the same bits.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn block<S: Stored, P: Stored, G: Stored>(
    record: Record,
    value_bound: f32,
    moments: [&mut [S]; 2],
    params: &mut [P],
    grads: &[G],
    words: &[u32; BLOCK],
) {
    if value_bound > 0.0 || record.coupled_decay != 0.0 {
        step(record, value_bound, moments, params, grads, words);
    } else {
        step(Record { coupled_decay: 0.0, ..record }, 0.0, moments, params, grads, words);
    }
}

/// The step of a block. The record is a copy, which no store can change: so a compiler makes several elements at once.
/// Inlined, it has no words made where none reads them.
#[inline(always)]
fn step<S: Stored, P: Stored, G: Stored>(
    record: Record,
    value_bound: f32,
    [m, v]: [&mut [S]; 2],
    params: &mut [P],
    grads: &[G],
    words: &[u32; BLOCK],
) {
    for ((((m, v), p), g), word) in m.iter_mut().zip(v).zip(params).zip(grads).zip(words) {
        let old = Element { p: p.load(), m: m.load(), v: v.load(), v_max: 0.0 };
        let new = old.stepped(&record, value_bound, g.load(), false);
        (*m, *v) = (S::store(new.m), S::store(new.v));
        *p = P::store_by(new.p, || *word);
    }
}

/// These ranges of a slice, which do not overlap, in their order.
fn parts<T>(whole: &mut [T], ranges: impl Iterator<Item = Range<usize>>) -> Vec<&mut [T]> {
    let mut by_place: Vec<(usize, Range<usize>)> = ranges.enumerate().collect();
    by_place.sort_unstable_by_key(|(_, range)| (range.start, range.end));
    let mut parts: Vec<&mut [T]> = by_place.iter().map(|_| Default::default()).collect();
    let (mut rest, mut done) = (whole, 0);
    for (place, range) in by_place {
        let (part, behind) = rest.split_at_mut(range.start - done).1.split_at_mut(range.len());
        (parts[place], rest, done) = (part, behind, range.end);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_in_the_order_asked_for() {
        let mut numbers: Vec<usize> = (0..10).collect();
        let parts = parts(&mut numbers, [7..9, 0..2, 4..4, 2..3].into_iter());
        assert_eq!(parts, [&[7, 8][..], &[0, 1], &[], &[2]]);
    }
}

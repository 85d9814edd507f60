//! Fast form of [`twin::optim::update`](crate::twin::optim::update).

use crate::twin::optim::Stretch;
use crate::twin::optim::rule::{Arithmetic, Element};
use crate::twin::shared::{Chunk, OF_PARAMS, Record, Segment, Stored, pcg, rounding_key, split_control};
use rayon::prelude::*;
use std::ops::Range;

/// Elements that are stepped together. The words that round them are made before, one by one: shifts by a number that
/// each lane has for itself would keep the whole step from being made several at once.
const BLOCK: usize = 512;

/// One step of every chunk of a segment, chunks shared out among the cores: to the bit what the twin gives.
#[allow(clippy::too_many_arguments, reason = "the twin's")]
pub fn update<R: Arithmetic<SLOTS>, const SLOTS: usize, S: Stored, P: Stored, G: Stored>(
    chunks: &[Chunk],
    control: &[u32],
    slots: [&mut [S]; SLOTS],
    params: &mut [P],
    grads: &[G],
    segment: &Segment,
    average: Option<&mut [f32]>,
) {
    let (stats, _, records) = split_control(control);
    if stats.skip != 0 {
        return;
    }
    let chunks = segment.of(chunks);
    let of_state = || chunks.iter().map(Chunk::of_state);
    let mut average = average.map(|average| parts(average, of_state()).into_iter());
    let mut slots = slots.map(|slot| parts(slot, of_state()).into_iter());
    let params = parts(params, chunks.iter().map(Chunk::of_params));
    let stretch = |(chunk, params)| {
        let slots = slots.each_mut().map(|slot| slot.next().unwrap_or_default());
        let average = average.as_mut().and_then(Iterator::next);
        let grads = &grads[Chunk::of_grads(chunk, records[chunk.tensor as usize].grad)];
        (chunk, Stretch { slots, params, grads, average })
    };
    let stretches: Vec<_> = chunks.iter().zip(params).map(stretch).collect();
    // The same in every chunk.
    let places: Vec<u32> = if P::IS_ROUNDED_BY_CHANCE { (0..longest(chunks)).map(pcg).collect() } else { Vec::new() };
    stretches.into_par_iter().for_each(|(chunk, stretch)| {
        let record = R::prepared(records[chunk.tensor as usize]);
        match stretch {
            Stretch { mut slots, params, grads, average: None } => {
                let key = rounding_key(segment.seed, chunk.tensor, record.count, chunk.number) ^ OF_PARAMS;
                for (at, params) in params.chunks_mut(BLOCK).enumerate() {
                    let mut words = [0; BLOCK];
                    for (word, place) in words.iter_mut().zip(places.iter().skip(at * BLOCK)) {
                        *word = pcg(place ^ key);
                    }
                    let first = at * BLOCK;
                    let slots = slots.each_mut().map(|slot| &mut slot[first..first + params.len()]);
                    block::<R, SLOTS, S, P, G>(record, stats.value_bound, slots, params, &grads[first..], &words);
                }
            }
            stretch => stretch.step::<R>(chunk, &record, stats.value_bound, segment.seed),
        }
    });
}

fn longest(chunks: &[Chunk]) -> u32 {
    chunks.iter().map(|chunk| chunk.length).max().unwrap_or(0)
}

/// The step of a block without an average, by the words that round its parameters. Most blocks clamp no value, and decay
/// apart from the gradient or join it: either has a loop of its own that asks nothing of an element. Twice as many elements at once
/// if there is AVX2; each has the same bits.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn block<R: Arithmetic<SLOTS>, const SLOTS: usize, S: Stored, P: Stored, G: Stored>(
    record: Record,
    value_bound: f32,
    slots: [&mut [S]; SLOTS],
    params: &mut [P],
    grads: &[G],
    words: &[u32; BLOCK],
) {
    if value_bound > 0.0 {
        step::<R, SLOTS, S, P, G>(record, value_bound, slots, params, grads, words);
    } else if record.coupled_decay != 0.0 {
        step::<R, SLOTS, S, P, G>(record, 0.0, slots, params, grads, words);
    } else {
        step::<R, SLOTS, S, P, G>(Record { coupled_decay: 0.0, ..record }, 0.0, slots, params, grads, words);
    }
}

/// The step of a block. The record is a copy, which no store can change: so a compiler makes several elements at once.
/// Inlined, it has no words made if none reads them.
#[inline(always)]
fn step<R: Arithmetic<SLOTS>, const SLOTS: usize, S: Stored, P: Stored, G: Stored>(
    record: Record,
    value_bound: f32,
    slots: [&mut [S]; SLOTS],
    params: &mut [P],
    grads: &[G],
    words: &[u32; BLOCK],
) {
    let length = params.len().min(BLOCK);
    let mut slots = slots.map(|slot| &mut slot[..length]);
    let (params, grads, words) = (&mut params[..length], &grads[..length], &words[..length]);
    for k in 0..length {
        let old = Element { p: params[k].load(), kept: slots.each_ref().map(|slot| slot[k].load()) };
        let new = old.updated::<R>(&record, value_bound, grads[k].load());
        for (slot, kept) in slots.iter_mut().zip(new.kept) {
            slot[k] = S::store(kept);
        }
        params[k] = P::store_by(new.p, || words[k]);
    }
}

/// These ranges of a slice, which do not overlap, in their order.
pub(super) fn parts<T>(whole: &mut [T], ranges: impl Iterator<Item = Range<usize>>) -> Vec<&mut [T]> {
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

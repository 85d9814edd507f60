//! Which sums are added up for which tensor.

use crate::engine::layout::{Chunk, Fold};
use crate::engine::{Error, count};

/// The tensors whose sums are wanted, and the places of their chunks in the update's order. Chunks of one tensor may lie in several segments: they are
/// added up by their numbers, whatever the paging.
pub(super) fn folds(chunks: &[Chunk], is_summed: impl Fn(&Chunk) -> bool) -> Result<(Vec<Fold>, Vec<u32>), Error> {
    let summed = chunks.iter().enumerate().filter(|(_, chunk)| is_summed(chunk));
    let mut chunks: Vec<(u32, u32, usize)> = summed.map(|(place, it)| (it.tensor, it.number, place)).collect();
    chunks.sort_unstable();
    let mut folds: Vec<Fold> = Vec::new();
    for (place, (record, ..)) in chunks.iter().enumerate() {
        match folds.last_mut() {
            Some(fold) if fold.record == *record => fold.count += 1,
            _ => folds.push(Fold { record: *record, first: count("chunks", place)?, count: 1 }),
        }
    }
    let places = chunks.into_iter().map(|(_, _, place)| count("chunks", place));
    Ok((folds, places.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_added_up_in_their_tensors_order_whatever_the_paging() {
        // The first two chunks of record 3 lie in a page behind that of its last one.
        let chunk = |tensor, number| Chunk { tensor, number, ..Chunk::default() };
        let chunks = [chunk(1, 0), chunk(3, 2), chunk(7, 0), chunk(1, 1), chunk(3, 0), chunk(3, 1)];
        let (folds, places) = folds(&chunks, |chunk| chunk.tensor != 7).expect("folds");
        assert_eq!(folds, [Fold { record: 1, first: 0, count: 2 }, Fold { record: 3, first: 2, count: 3 }]);
        assert_eq!(places, [0, 3, 4, 5, 1]);
    }
}

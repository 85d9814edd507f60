//! Work that is shared out among all cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Told while work continues: how much is done, and of how much.
pub type Told<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// The result for each item, in the items' order. A core takes `share` of them at a time.
pub(crate) fn map<T: Sync, R: Send>(
    items: &[T],
    share: usize,
    work: impl Fn(&T) -> R + Sync,
    told: Told<'_>,
) -> Vec<R> {
    let shares: Vec<&[T]> = items.chunks(share.max(1)).collect();
    let cores = thread::available_parallelism().map_or(1, usize::from).min(shares.len());
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let take = || -> Vec<(usize, Vec<R>)> {
        let mut results = Vec::new();
        while let Some((place, items)) = take_next(&next, &shares) {
            results.push((place, items.iter().map(&work).collect()));
            let before = done.fetch_add(items.len(), Ordering::Relaxed);
            told(before + items.len(), shares.iter().map(|share| share.len()).sum());
        }
        results
    };
    let mut results: Vec<(usize, Vec<R>)> = thread::scope(|scope| {
        let others: Vec<_> = (1..cores).map(|_| scope.spawn(take)).collect();
        let mut results = take();
        for other in others {
            match other.join() {
                Ok(found) => results.extend(found),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_unstable_by_key(|(place, _)| *place);
    results.into_iter().flat_map(|(_, results)| results).collect()
}

fn take_next<'a, T>(next: &AtomicUsize, shares: &[&'a [T]]) -> Option<(usize, &'a [T])> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    Some((place, *shares.get(place)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_and_all_is_told() {
        let items: Vec<usize> = (0..1000).collect();
        for share in [0, 1, 7, 1000, 5000] {
            let most = AtomicUsize::new(0);
            let told = |done: usize, all: usize| {
                assert!(done <= all && all == 1000);
                most.fetch_max(done, Ordering::Relaxed);
            };
            let doubled = map(&items, share, |item| 2 * item, &told);
            assert!(doubled.iter().zip(&items).all(|(double, item)| *double == 2 * item) && doubled.len() == 1000);
            assert_eq!(most.load(Ordering::Relaxed), 1000);
        }
        assert!(map(&[] as &[usize], 4, |item| *item, &|_, _| {}).is_empty());
    }
}

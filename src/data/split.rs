//! Which rows are held out.

use super::Error;
use crate::twin::shared::shuffled;

/// The places of a train and a test set among so many rows: `test_percent` of them, drawn by a seed, are the test set.
pub(crate) fn split(rows: usize, test_percent: usize, seed: u32) -> Result<(Vec<usize>, Vec<usize>), Error> {
    let test = held_out(rows, test_percent)?;
    let mut order = shuffled_places(rows, seed);
    let train = order.split_off(test);
    Ok((train, order))
}

/// The same, with each class in the test set in proportion: the number of rows nearest to its share, with at least one
/// left to train on. A class too rare for one row is in the train set only.
pub(crate) fn stratified(labels: &[u32], test_percent: usize, seed: u32) -> Result<(Vec<usize>, Vec<usize>), Error> {
    let rows = labels.len();
    let classes = labels.iter().max().map_or(0, |most| *most as usize + 1);
    let mut counts = vec![0; classes];
    labels.iter().for_each(|label| counts[*label as usize] += 1);
    let mut wanted = shares(&counts, held_out(rows, test_percent)?);
    if wanted.iter().all(|wanted| *wanted == 0) {
        return Err(Error::BadSplit { rows, test_percent });
    }
    let is_held_out = |place: &usize| {
        let left = &mut wanted[labels[*place] as usize];
        let takes = *left > 0;
        *left -= usize::from(takes);
        takes
    };
    let (test, train) = shuffled_places(rows, seed).into_iter().partition(is_held_out);
    Ok((train, test))
}

/// How many rows are held out.
fn held_out(rows: usize, test_percent: usize) -> Result<usize, Error> {
    let test = (rows * test_percent.min(100) + 50) / 100;
    match test == 0 || test >= rows {
        true => Err(Error::BadSplit { rows, test_percent }),
        false => Ok(test),
    }
}

fn shuffled_places(rows: usize, seed: u32) -> Vec<usize> {
    (0..rows as u32).map(|place| shuffled(place, rows as u32, seed) as usize).collect()
}

/// Rows distributed among classes of these counts: the whole part of each share, then one more for the largest
/// remainders. One row of each class stays.
fn shares(counts: &[usize], test: usize) -> Vec<usize> {
    let rows: usize = counts.iter().sum();
    let most = |count: usize| count.saturating_sub(1);
    let mut shares: Vec<usize> = counts.iter().map(|count| (count * test / rows).min(most(*count))).collect();
    let mut by_rest: Vec<usize> = (0..counts.len()).collect();
    by_rest.sort_by_key(|class| std::cmp::Reverse(counts[*class] * test % rows));
    let mut left = test - shares.iter().sum::<usize>();
    for class in by_rest {
        let takes = usize::from(left > 0 && shares[class] < most(counts[class]));
        shares[class] += takes;
        left -= takes;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_leave_a_row_of_each_class() {
        assert_eq!(shares(&[50, 30, 20], 10), [5, 3, 2]);
        assert_eq!(shares(&[15, 15, 15], 5), [2, 2, 1]);
        assert_eq!(shares(&[20, 20, 1], 8), [4, 4, 0]);
        assert_eq!(shares(&[1, 1, 1, 97], 50), [0, 0, 0, 49]);
        assert_eq!(shares(&[1, 1], 1), [0, 0]);
    }

    #[test]
    fn a_stratified_split_loses_no_row_and_does_not_hang_on_the_seed() {
        let labels: Vec<u32> = (0..41).map(|n| if n == 40 { 2 } else { n % 2 }).collect();
        let mut tests = Vec::new();
        for seed in 0..20 {
            let (train, test) = stratified(&labels, 20, seed).expect("a split");
            let mut all = [train.as_slice(), &test].concat();
            all.sort_unstable();
            assert_eq!(all, (0..41).collect::<Vec<_>>());
            let count = |class: u32| test.iter().filter(|place| labels[**place] == class).count();
            assert_eq!([count(0), count(1), count(2)], [4, 4, 0], "{seed}");
            tests.push(test);
        }
        tests.dedup();
        assert!(tests.len() > 15, "seeds hold out other rows");
        assert!(stratified(&[0, 1], 50, 1).is_err(), "one row of each class has to stay");
    }
}

//! Which rows are held out.

use super::Error;
use crate::twin::shared::shuffled;

/// The places of a train and a test set among so many rows: `test_percent` of them, drawn by a seed, are the test set.
pub(crate) fn split(rows: usize, test_percent: usize, seed: u32) -> Result<(Vec<usize>, Vec<usize>), Error> {
    let test = (rows * test_percent.min(100) + 50) / 100;
    if test == 0 || test >= rows {
        return Err(Error::BadSplit { rows, test_percent });
    }
    let mut order: Vec<usize> = (0..rows as u32).map(|place| shuffled(place, rows as u32, seed) as usize).collect();
    let train = order.split_off(test);
    Ok((train, order))
}

//! Handwritten digits: 1,797 pictures of 8 × 8 pixels (Alpaydin & Kaynak 1998; see `data/digits/README.md`).

use crate::data::{DataSet, Error};

const PIXELS: usize = 64;
const RECORDS: &[u8] = include_bytes!("../../../data/digits/digits.u8");

/// The digits, pixels scaled to 0 … 1.
///
/// # Errors
/// None in practice: the data is part of the program.
pub fn digits() -> Result<DataSet, Error> {
    let records = RECORDS.chunks_exact(PIXELS + 1);
    let values = records.clone().flat_map(|record| &record[..PIXELS]).map(|pixel| f32::from(*pixel) / 16.0).collect();
    let labels = records.map(|record| u32::from(record[PIXELS])).collect();
    DataSet::new(PIXELS, 10, values, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_there_and_a_split_loses_none() {
        let set = digits().unwrap();
        assert_eq!((set.rows(), set.inputs(), set.classes()), (1797, 64, 10));
        let (train, test) = set.split(20, 7).unwrap();
        assert_eq!((train.rows(), test.rows()), (1438, 359));
        let sum = |set: &DataSet| set.values().iter().map(|value| f64::from(*value)).sum::<f64>();
        assert_eq!(sum(&train) + sum(&test), sum(&set));
    }
}

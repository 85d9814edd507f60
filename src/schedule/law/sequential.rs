//! One law after another.

use super::Law;
use super::shape::bad;
use crate::schedule::Error;

/// value = that of the last law whose first step is at most `step`, which counts from there: every law starts at its own
/// step 0, from the group's base value.
pub struct Sequential {
    laws: Vec<(u64, Box<dyn Law>)>,
}

impl Sequential {
    /// The law that starts.
    pub fn new(law: impl Law + 'static) -> Sequential {
        Sequential { laws: vec![(0, Box::new(law))] }
    }

    /// The law from step `from` on.
    ///
    /// # Errors
    /// A step that is not after the one where the law before starts.
    pub fn then(mut self, from: u64, law: impl Law + 'static) -> Result<Sequential, Error> {
        let before = self.laws.last().map_or(0, |(start, _)| *start);
        if from <= before {
            return Err(bad("sequential", "from", from, format!("a step after {before}")));
        }
        self.laws.push((from, Box::new(law)));
        Ok(self)
    }
}

impl Law for Sequential {
    fn value(&self, base: f64, step: u64) -> f64 {
        let next = self.laws.partition_point(|(start, _)| *start <= step);
        self.laws.get(next.saturating_sub(1)).map_or(base, |(start, law)| law.value(base, step - start))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Constant, Linear};
    use super::*;

    #[test]
    fn every_law_starts_at_its_own_zero() {
        let law = Sequential::new(Constant).then(3, Linear::new(4).unwrap()).unwrap().then(5, Constant).unwrap();
        assert_eq!([0, 2, 3, 4, 5, 9].map(|step| law.value(1.0, step)), [1.0, 1.0, 1.0, 0.75, 1.0, 1.0]);
        assert!(law.then(5, Constant).is_err());
    }
}

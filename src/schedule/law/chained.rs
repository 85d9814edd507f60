//! Several laws at once.

use super::Law;
use super::parts::{self, PARTS};
use super::words::{Words, build};

const NAME: &str = "chained";

/// As files say it.
pub(super) const WORDS: Words = Words::new(NAME, &[&PARTS], |file| {
    let parts = parts::read(file)?;
    build(move |over| {
        let laws = parts.iter().map(|part| part.over(over.run, over.probing));
        Ok(Chained::new(laws.collect::<Result<_, _>>()?))
    })
});

/// value = the last law's, whose base is the value of the law before it, and so on; laws that are shares of the base
/// multiply.
#[derive(Default)]
pub struct Chained {
    laws: Vec<Box<dyn Law>>,
}

impl Chained {
    /// These laws, in order; the base value without any.
    pub fn new(laws: Vec<Box<dyn Law>>) -> Chained {
        Chained { laws }
    }
}

impl Law for Chained {
    fn value(&self, base: f64, step: u64) -> f64 {
        self.laws.iter().fold(base, |value, law| law.value(value, step))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Linear, Step};
    use super::*;
    use crate::schedule::law::Level;

    #[test]
    fn shares_multiply() {
        let laws: Vec<Box<dyn Law>> =
            vec![Box::new(Linear::new(4).unwrap()), Box::new(Step::new(0.5, 2, Level::ZERO).unwrap())];
        let law = Chained::new(laws);
        assert_eq!([0, 1, 2, 4].map(|step| law.value(1.0, step)), [1.0, 0.75, 0.25, 0.0]);
    }
}

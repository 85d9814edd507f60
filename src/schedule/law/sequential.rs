//! One law after another.

use super::Law;
use super::parts::{self, PARTS};
use super::words::{Over, Words, build};
use crate::schedule::Error;
use crate::schedule::file::law_spec::LawSpec;
use crate::schedule::file::length::{OWN, Run};

const NAME: &str = "sequential";

/// As files say it.
pub(super) const WORDS: Words = Words::new(NAME, &[&PARTS], |file| {
    let parts = parts::read(file)?;
    build(move |over| Sequential::of(&parts, over))
});

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

    /// The parts of a file one after another; the last takes what is left.
    fn of(parts: &[LawSpec], over: &Over) -> Result<Sequential, Error> {
        let mut chain: Option<Sequential> = None;
        let mut start = 0u64;
        let Some((last, before)) = parts.split_last() else { return Ok(Sequential { laws: Vec::new() }) };
        for part in before {
            let Some(length) = part.length else { return Err(part.place().missing(&OWN)) };
            chain = Some(append(chain, start, part.over(over.run, over.probing)?)?);
            start = start.saturating_add(length.steps(part.place(), over.run.steps, over.run)?);
        }
        let steps = over.run.steps;
        if start >= steps && !over.probing {
            let why = format!("leave no step to the last one: those before it take {start} of {steps}");
            return Err(over.place.unfit(PARTS[0], format!("{} parts", parts.len()), why));
        }
        let rest = Run { steps: steps.saturating_sub(start).max(1), ..over.run };
        let run = if last.length.is_some() { over.run } else { rest };
        append(chain, start, last.over(run, over.probing)?)
    }

    /// The law from step `from` on.
    ///
    /// # Errors
    /// A step that is not after the start of the law before.
    pub fn then(mut self, from: u64, law: impl Law + 'static) -> Result<Sequential, Error> {
        let before = self.laws.last().map_or(0, |(start, _)| *start);
        if from <= before {
            return Err(Error::bad_argument(NAME, "from", from, format!("a step after {before}")));
        }
        self.laws.push((from, Box::new(law)));
        Ok(self)
    }
}

fn append(chain: Option<Sequential>, start: u64, law: Box<dyn Law>) -> Result<Sequential, Error> {
    match chain {
        None => Ok(Sequential::new(law)),
        Some(chain) => chain.then(start, law),
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

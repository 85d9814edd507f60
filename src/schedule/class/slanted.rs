//! The slanted triangle: a short rise, a long fall.

use super::python::divide;
use super::reader::Reader;
use super::torch::{LrScheduler, Now, Rule};
use super::{Arguments, Built, Class, Fault};

/// lr = base (1 + p (ratio − 1)) / ratio with p = t / cut up to cut = ⌊T cut_frac⌋, then 1 − (t − cut) / length.
/// Howard & Ruder 2018, "Universal Language Model Fine-tuning" (arXiv 1801.06146).
///
/// The paper's length is cut (1 / cut_frac − 1), which is not T − cut where T cut_frac is not whole; the exact form takes
/// T − cut. Both formulas go on below 0 at their end; here the lowest rate, base / ratio, holds.
#[derive(Debug)]
struct Slanted {
    cut: f64,
    length: f64,
    ratio: f64,
}

pub(super) const CLASSES: &[Class] =
    &[Class::new(&[], "slanted_triangular/exact", exact), Class::new(&[], "slanted_triangular/paper", paper)];

fn exact(arguments: &Arguments) -> Built {
    make("slanted_triangular/exact", arguments, |total, cut, _| Ok(total - cut))
}

fn paper(arguments: &Arguments) -> Built {
    make("slanted_triangular/paper", arguments, |_, cut, share| Ok(cut * (divide(1.0, share)? - 1.0)))
}

fn make(class: &'static str, arguments: &Arguments, length: impl Fn(f64, f64, f64) -> Result<f64, Fault>) -> Built {
    let reader = Reader::new(class, arguments, &["T", "cut_frac", "ratio"])?;
    let (total, share) = (reader.required("T")?, reader.number("cut_frac", 0.1)?);
    let cut = (total * share).floor();
    let length = length(total, cut, share).map_err(|fault| reader.refused(fault.0))?;
    let ratio = reader.number("ratio", 32.0)?;
    Ok(LrScheduler::boxed(class, -1.0, Slanted { cut, length, ratio }))
}

impl Rule for Slanted {
    fn next(&self, now: &Now) -> Result<f64, Fault> {
        let share =
            if now.n < self.cut { divide(now.n, self.cut)? } else { 1.0 - divide(now.n - self.cut, self.length)? };
        divide(now.base.clone()? * (1.0 + share.max(0.0) * (self.ratio - 1.0)), self.ratio)
    }
}

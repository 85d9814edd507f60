//! What a schedule file says, as typed values.
//!
//! So far the sections `optimizer` and `lr_scheduler`; phases are not read yet.

use super::yaml::Section;
use super::{Error, Law, law};
use crate::params::{Field, Row};

/// A schedule file.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// `optimizer`: the hyper-parameters that groups start with.
    pub row: Row,
    /// `optimizer.no_decay`: parameters whose name contains one of these have no weight decay.
    pub no_decay: Vec<String>,
    /// `lr_scheduler`.
    pub lr: LawSpec,
}

/// A law by its short name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LawSpec {
    /// `constant`.
    Constant,
    /// `cosine`, over the whole run.
    Cosine {
        /// Lowest value as a share of the base value, in [0, 1].
        min_ratio: f64,
    },
}

impl LawSpec {
    /// The law over a run of this many steps.
    pub fn law(&self, steps: u64) -> Box<dyn Law> {
        match *self {
            LawSpec::Constant => Box::new(law::Constant),
            LawSpec::Cosine { min_ratio } => Box::new(law::Cosine { steps, min_ratio }),
        }
    }
}

impl Spec {
    /// Reads a schedule; `file` is the name that errors give it.
    ///
    /// # Errors
    /// [`Error`] naming file, key and value, and the nearest valid one.
    pub fn parse(file: &str, text: &str) -> Result<Spec, Error> {
        let mut top = Section::parse(file, text)?;
        let mut optimizer = top.section("optimizer")?;
        let kind = optimizer.word("type", &["adamw", "adam"])?;
        let defaults = Row { decoupled: kind == "adamw", ..Row::default() };
        let (beta1, beta2) = optimizer.pair("betas", (defaults.beta1, defaults.beta2))?;
        let row = Row {
            lr: optimizer.number("lr", defaults.lr)?,
            weight_decay: optimizer
                .number("weight_decay", if kind == "adamw" { defaults.weight_decay } else { 0.0 })?,
            beta1,
            beta2,
            eps: optimizer.number("eps", defaults.eps)?,
            ..defaults
        };
        let no_decay = optimizer.texts("no_decay")?;
        check(&optimizer, &row)?;
        optimizer.finish()?;

        let mut scheduler = top.section("lr_scheduler")?;
        let lr = match scheduler.word("type", &["constant", "cosine"])? {
            "cosine" => LawSpec::Cosine { min_ratio: min_ratio(&mut scheduler)? },
            _ => LawSpec::Constant,
        };
        scheduler.finish()?;
        top.finish()?;
        Ok(Spec { row, no_decay, lr })
    }
}

fn min_ratio(scheduler: &mut Section) -> Result<f64, Error> {
    let ratio = scheduler.number("min_ratio", 0.0)?;
    if (0.0..=1.0).contains(&ratio) {
        return Ok(ratio);
    }
    Err(scheduler.bad("min_ratio", ratio.to_string(), "a number from 0 to 1", None))
}

fn check(section: &Section, row: &Row) -> Result<(), Error> {
    let Err(error) = row.check("") else { return Ok(()) };
    match error {
        crate::params::Error::BadValue { field: Field::Beta1 | Field::Beta2, allowed, .. } => {
            let value = format!("[{}, {}]", row.beta1, row.beta2);
            Err(section.bad("betas", value, &format!("two numbers {allowed}"), None))
        }
        crate::params::Error::BadValue { field, value, allowed, .. } => {
            Err(section.bad(field.name(), value.to_string(), allowed, None))
        }
        other => Err(section.bad("type", other.to_string(), "a valid optimizer", None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_file_key_value_and_the_nearest() {
        let told = |text: &str| Spec::parse("run.yaml", text).unwrap_err().to_string();
        let rest = "\nlr_scheduler: {type: cosine}";
        assert_eq!(
            told(&format!("optimizer: {{type: adamv}}{rest}")),
            "run.yaml: optimizer.type = adamv is not one of adamw, adam (did you mean \"adamw\"?)"
        );
        assert_eq!(
            told(&format!("optimizer: {{type: adamw, weigth_decay: 1}}{rest}")),
            "run.yaml: optimizer.weigth_decay is not a known key (did you mean \"weight_decay\"?); \
             known are type, betas, lr, weight_decay, eps, no_decay"
        );
        assert_eq!(
            told(&format!("optimizer: {{type: adamw, lr: .nan}}{rest}")),
            "run.yaml: optimizer.lr = NaN is not a finite number that is 0 or more"
        );
        assert!(told("optimizer: {type: adamw, lr: 1, lr: 2}").contains("duplicate entry"));
        assert_eq!(told("optimizer: {type: adamw}"), "run.yaml: lr_scheduler.type is missing");
    }

    #[test]
    fn text_that_reads_as_a_number_is_one() {
        let spec = Spec::parse("", "optimizer: {type: adamw, lr: 1e-4}\nlr_scheduler: {type: constant}").unwrap();
        assert_eq!((spec.row.lr, spec.lr), (1e-4, LawSpec::Constant));
    }
}
